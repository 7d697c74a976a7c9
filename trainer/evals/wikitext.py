"""WikiText-2 and WikiText-103: perplexity of the test split, which is one text for both.

The paper's 29.41 and 37.50 (117M) can therefore only differ by normaliser and detokeniser. Public replications come near 29.41 by nats
a BPE token (29.94) and near 37.50 by nats a word (37.37): so each row is set beside its own reading, and all readings are reported.
"""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.detokenisers import WIKITEXT
from trainer.evals.files import read_text
from trainer.evals.results import Result
from trainer.evals.task import Source, Task
from trainer.evals.texts import BPE_TOKENS, WORDS, Corpus, examine

ADDRESS = "https://www.salesforce.com/products/einstein/ai-research/the-wikitext-dependency-language-modeling-dataset/"
TWO = Corpus("wikitext2", WIKITEXT, "wikitext2", BPE_TOKENS)
HUNDRED = Corpus("wikitext103", WIKITEXT, "wikitext103", WORDS)


def _run_two(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return examine(candidate, TWO, read_text(paths[0]))


def _run_hundred(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return examine(candidate, HUNDRED, read_text(paths[0]))


TASKS = (
    Task(
        "wikitext2",
        "WikiText-2, perplexity of the test split",
        (Source(("wiki2.test.tokens", "wikitext2.test.tokens", "wiki.test.tokens", "wikitext2.valid.tokens"), ADDRESS),),
        _run_two,
    ),
    Task(
        "wikitext103",
        "WikiText-103, perplexity of the test split",
        (Source(("wiki103.test.tokens", "wikitext103.test.tokens"), ADDRESS),),
        _run_hundred,
    ),
)

"""WikiText-2 and WikiText-103: perplexity of the test split.

Both have the same test text, except for the words that are <unk>, so the paper's 29.41 and 37.50 (117M) can hardly differ
except by normalizer and detokenizer. Public replications come near 29.41 with nats per BPE token (29.94) and near 37.50 with
nats per word (37.37). Each row is therefore compared with its own reading, and all readings are reported.
"""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.metrics.perplexity import PER_BPE, PER_WORD, TokenizedText, evaluate
from trainer.evals.results import Result
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.detokenizers import WIKITEXT
from trainer.evals.text.files import read_text

ADDRESS = "https://www.salesforce.com/products/einstein/ai-research/the-wikitext-dependency-language-modeling-dataset/"
WIKITEXT_2 = TokenizedText("wikitext2", WIKITEXT, "wikitext2", PER_BPE)
WIKITEXT_103 = TokenizedText("wikitext103", WIKITEXT, "wikitext103", PER_WORD)


def _run_wikitext2(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, WIKITEXT_2, read_text(paths[0]))


def _run_wikitext103(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, WIKITEXT_103, read_text(paths[0]))


TASKS = (
    Task(
        "wikitext2",
        "WikiText-2, perplexity of the test split",
        (
            PublishedFile(
                ("wiki2.test.tokens", "wikitext2.test.tokens", "wiki.test.tokens", "wikitext2.valid.tokens"),
                ADDRESS,
                1_256_449,
                "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
                note="wiki.test.tokens of WikiText-2, with <unk>",
                archive="wikitext-2-v1.zip, 4,475,746 bytes, sha256 92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
            ),
        ),
        _run_wikitext2,
    ),
    Task(
        "wikitext103",
        "WikiText-103, perplexity of the test split",
        (
            PublishedFile(
                ("wiki103.test.tokens", "wikitext103.test.tokens"),
                ADDRESS,
                note="wiki.test.tokens of WikiText-103: fewer words are <unk> than in WikiText-2",
                archive="wikitext-103-v1.zip, 190,229,076 bytes, sha256 242ba0f20b329cfdf1ccc61e9e9e5b59becf189db7f7a81cd2a0e2fc31539590",
            ),
        ),
        _run_wikitext103,
    ),
)

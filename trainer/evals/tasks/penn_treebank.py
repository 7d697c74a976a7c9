"""Penn Treebank as Mikolov published it (lower case, no punctuation, numbers as N): perplexity of the test split."""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.metrics.perplexity import ORIGINAL_TOKENS, Corpus, examine
from trainer.evals.results import Result
from trainer.evals.task import Source, Task
from trainer.evals.text.detokenizers import PENN_TREEBANK
from trainer.evals.text.files import read_text

CORPUS = Corpus("ptb", PENN_TREEBANK, "ptb", ORIGINAL_TOKENS)


def _run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return examine(candidate, CORPUS, read_text(paths[0]))


TASKS = (
    Task(
        "ptb",
        "Penn Treebank, perplexity of the test split",
        (
            Source(
                ("ptb.test.txt",),
                "http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz",
                449_945,
                "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                note="simple-examples/data/ in it",
            ),
        ),
        _run,
    ),
)

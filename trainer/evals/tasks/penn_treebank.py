"""Penn Treebank in Mikolov's version (lower case, no punctuation, numbers as N): perplexity of the test split."""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.metrics.perplexity import PER_WORD_OR_LINE_END, TokenizedText, evaluate
from trainer.evals.results import Result
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.detokenizers import PENN_TREEBANK
from trainer.evals.text.files import read_text

TEXT = TokenizedText("ptb", PENN_TREEBANK, "ptb", PER_WORD_OR_LINE_END)


def _run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, TEXT, read_text(paths[0]))


TASKS = (
    Task(
        "ptb",
        "Penn Treebank, perplexity of the test split",
        (
            PublishedFile(
                ("ptb.test.txt",),
                "http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz",
                449_945,
                "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                note="in simple-examples/data/ of the archive",
            ),
        ),
        _run,
    ),
)

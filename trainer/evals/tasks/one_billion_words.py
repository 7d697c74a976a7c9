"""One Billion Word benchmark: perplexity of the usual test shard, with its sentences in their shuffled order."""

from pathlib import Path

from trainer.evals.candidate import Candidate
from trainer.evals.metrics.perplexity import PER_WORD_OR_LINE_END, TokenizedText, evaluate
from trainer.evals.results import Result
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.detokenizers import ONE_BILLION_WORD
from trainer.evals.text.files import read_text

TEXT = TokenizedText("lm1b", ONE_BILLION_WORD, "lm1b", PER_WORD_OR_LINE_END)


def _run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, TEXT, read_text(paths[0]))


TASKS = (
    Task(
        "lm1b",
        "One Billion Word, perplexity of held-out shard 0",
        (
            PublishedFile(
                ("news.en.heldout-00000-of-00050",),
                "http://www.statmt.org/lm-benchmark/1-billion-word-language-modeling-benchmark-r13output.tar.gz",
                note="in heldout-monolingual.tokenized.shuffled/ of the archive",
                archive="archive of 1,792,209,805 bytes, sha256 01ba60381110baf7f189dfd2b8374de371e8c9a340835793f190bdae9e90a34e",
            ),
        ),
        _run,
    ),
)

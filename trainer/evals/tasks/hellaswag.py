"""HellaSwag: which of four endings continues a text. It is newer than the paper; later models are compared on it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result, percent
from trainer.evals.scoring.choices import is_lowest
from trainer.evals.scoring.scorer import Score, Scorer
from trainer.evals.task import PublishedFile, Task
from trainer.evals.text.files import read_records

CostFunction = Callable[[Score, str], float]
READINGS: dict[str, CostFunction] = {
    "likelihood of the ending": lambda score, _ending: score.total,
    "likelihood a character of the ending": lambda score, ending: score.total / len(ending),
    "likelihood a token of the ending": lambda score, _ending: score.total / len(score.nats),
}
"""Cost of an ending in each reading: acc and acc_norm of lm-evaluation-harness, and the reading of llm.c."""


def clean(text: str) -> str:
    """Remove the markup of WikiHow, as lm-evaluation-harness does.

    >>> clean("Cut it [header] twice.  [title] Then")
    'Cut it twice. . Then'
    """
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Accuracy in three readings."""
    records = read_records(paths[0], activity_label=str, ctx_a=str, ctx_b=str, endings=list, label=(int, str))[: candidate.limit]
    endings = [_endings(paths[0], number, record) for number, record in enumerate(records, 1)]
    labels = [_label(paths[0], number, record) for number, record in enumerate(records, 1)]
    scorer = Scorer(candidate.model, candidate.batch_tokens, predict=False)
    encode = candidate.tokenizer.encode
    examples = ((encode(_context(r)), [encode(f" {e}") for e in four]) for r, four in zip(records, endings, strict=True))
    scores = list(scorer.score_endings(examples))
    results = []
    for reading, cost in READINGS.items():
        costs = [[cost(s, text) for s, text in zip(*pair, strict=True)] for pair in zip(scores, endings, strict=True)]
        value, error = percent([is_lowest(four, label) for four, label in zip(costs, labels, strict=True)])
        results.append(Result("hellaswag", "accuracy, %", value, error, len(records), reading, "question"))
    return results


def _context(record: dict[str, Any]) -> str:
    return clean(f"{record['activity_label']}: {record['ctx_a']} {record['ctx_b'].capitalize()}")


def _endings(path: Path, number: int, record: dict[str, Any]) -> list[str]:
    texts = [clean(ending) if isinstance(ending, str) else "" for ending in record["endings"]]
    for index, text in enumerate(texts):
        if not text.strip():
            raise InputError(f"{path}, line {number}: ending {index} has no text but markup; use the file as it is published")
    return texts


def _label(path: Path, number: int, record: dict[str, Any]) -> int:
    label = int(record["label"]) if str(record["label"]).isdecimal() else -1
    if not 0 <= label < len(record["endings"]):
        raise InputError(f"{path}, line {number}: no label; use the validation split, since the test split has no labels")
    return label


TASKS = (
    Task(
        "hellaswag",
        "HellaSwag, accuracy on the validation split",
        (
            PublishedFile(
                ("hellaswag_val.jsonl",),
                "https://github.com/rowanz/hellaswag, data/hellaswag_val.jsonl",
                12_246_618,
                "0aa3b88843990f3f10a97b9575c94d7b71fb2205240ba04ae4884d9e9c992588",
                note="10,042 questions",
            ),
        ),
        run,
    ),
)

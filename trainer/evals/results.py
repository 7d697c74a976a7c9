"""A number and everything that it depends on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from trainer.paper import ROWS, SIZES


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a task. `row` names the line of the paper (trainer.paper.ROWS) that this reading stands beside."""

    task: str
    metric: str
    value: float
    standard_error: float | None
    examples: int
    protocol: str
    normaliser: str
    detokeniser: str = "none"
    window_tokens: int | None = None
    stride_tokens: int | None = None
    row: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was examined, and by what. Hashes are sha256 in hex."""

    checkpoint: str
    checkpoint_sha256: str
    parameters: int
    step: int | None
    tokenizer_sha256: str
    precision: str
    device: str
    commit: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A finished task: its results, the files it read (name and sha256, whether they are the official ones), seconds."""

    task: str
    results: tuple[Result, ...]
    files: tuple[dict[str, Any], ...]
    seconds: float
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What `to_json` gave. Raises TypeError or KeyError where it did not."""
        results = tuple(Result(**result) for result in data["results"])
        return cls(data["task"], results, tuple(data["files"]), data["seconds"], data["fingerprint"])

    def rows(self, provenance: Provenance) -> list[dict[str, Any]]:
        """Each result with all that it depends on, flat."""
        about = {"files": list(self.files), "task_seconds": round(self.seconds, 3), **provenance.to_json()}
        return [{**result.to_json(), "paper": _paper(result.row), **about} for result in self.results]


def _paper(row: str | None) -> dict[str, float]:
    """The paper's figures of that row by size, for readers that do not know its tables."""
    if row is None or row not in ROWS:
        return {}
    return {size.name: value for size, value in zip(SIZES, ROWS[row].sizes, strict=True) if value is not None}


def mean(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and its standard error, of independent examples."""
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else None
    return math.fsum(array) / len(array), error


def percent(hits: Sequence[bool]) -> tuple[float, float | None]:
    """Share of hits in percent and its standard error."""
    value, error = mean([float(hit) for hit in hits])
    return 100 * value, None if error is None else 100 * error

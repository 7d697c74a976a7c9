"""Results of evaluation tasks: each number with everything that it depends on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from tokenizer import typed_json
from tokenizer.errors import InputError
from tokenizer.typed_json import Count
from trainer.paper import ROWS, SIZES


@dataclass(frozen=True, slots=True)
class Result:
    """One number of a task; its fields are columns of results.json. `row` names the row of trainer.paper.ROWS to compare with."""

    task: str
    metric: str
    value: float
    standard_error: float | None
    examples: Count
    protocol: str
    normaliser: str
    detokeniser: str = "none"
    window_tokens: Count | None = None
    stride_tokens: Count | None = None
    row: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The evaluated checkpoint, and the code and device that evaluate it. Hashes are sha256 in hex."""

    checkpoint: str
    checkpoint_sha256: str
    parameters: int
    step: int | None
    tokenizer_sha256: str
    precision: str
    device: str
    commit: str

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A finished task: its results, its files (name, sha256, whether that is the official hash), and the seconds it took."""

    task: str
    results: tuple[Result, ...]
    files: tuple[dict[str, Any], ...]
    seconds: float
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` returns. Raises ValueError for anything else: the file may be another's."""
        if isinstance(data, dict) and isinstance(data.get("results"), list):
            data = {**data, "results": [_with_number(result) for result in data["results"]]}
        return typed_json.convert(data, cls)

    def rows(self, provenance: Provenance) -> list[dict[str, Any]]:
        """One flat row per result, with its files and provenance."""
        about = {"files": list(self.files), "task_seconds": round(self.seconds, 3), **provenance.to_json()}
        return [{**result.to_json(), "paper": _paper_figures(result.row), **about} for result in self.results]


def _paper_figures(row: str | None) -> dict[str, float]:
    """The paper's figures of a row by model size."""
    if row is None or row not in ROWS:
        return {}
    return {size.name: value for size, value in zip(SIZES, ROWS[row].sizes, strict=True) if value is not None}


def _with_number(result: Any) -> Any:
    """A result of a record, its value a number: null stands for one that is not finite."""
    lacks = isinstance(result, dict) and "value" in result and result["value"] is None
    return {**result, "value": math.nan} if lacks else result


def mean(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean of independent examples and its standard error. Raises InputError where there is no example."""
    if not len(values):
        raise InputError("the file holds no example; use the file as it is published")
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else None
    return math.fsum(array) / len(array), error


def percent(hits: Sequence[bool]) -> tuple[float, float | None]:
    """Percentage of hits and its standard error."""
    value, error = mean([float(hit) for hit in hits])
    return 100 * value, None if error is None else 100 * error

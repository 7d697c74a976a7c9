"""Rows of the scoreboard. A benchmark appends them to the file that --scores names, one line of JSON per row.

This module imports only the standard library, so that benchmarks can use it in a peer's Python too.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIMINGS_PER_ROUND = 3
"""Work that takes milliseconds is timed this often in a round, and the median counts, because other processes disturb it."""

START_UP_NOISE = 0.1
"""Start-up times differ by about this share. Costs beyond start-up that are smaller say nothing about growth."""


@dataclass(frozen=True, slots=True)
class Race:
    """Ours and a peer on the same input, in paired rounds. Figures are in `unit`; less is better."""

    stage: str
    work: str
    peer: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    ours_mb: float | None = None
    theirs_mb: float | None = None

    @property
    def ratios(self) -> tuple[float, float, float]:
        """How many times as fast ours is: minimum, median and maximum over the rounds."""
        ratios = [their / our for our, their in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), statistics.median(ratios), max(ratios)


@dataclass(frozen=True, slots=True)
class Limit:
    """Ours and a lower bound for any program of its kind on this machine, in paired rounds of the same unit."""

    stage: str
    limit: str
    unit: str
    ours: tuple[float, ...]
    least: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, float, float]:
        """The bound divided by ours, 1 at best: minimum, median and maximum over the rounds."""
        shares = [least / our for our, least in zip(self.ours, self.least, strict=True)]
        return min(shares), statistics.median(shares), max(shares)


@dataclass(frozen=True, slots=True)
class Growth:
    """CPU seconds and peak memory by input size. `start_seconds`, the cost of start-up, is subtracted before the exponent is fitted."""

    stage: str
    unit: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    peaks_mb: tuple[float, ...]
    start_seconds: float = 0.0

    @property
    def exponent(self) -> float | None:
        """The exponent of seconds as a power of size, by least squares of logarithms; None if some size costs hardly more than start-up."""
        beyond = [seconds - self.start_seconds for seconds in self.seconds]
        if min(beyond) <= START_UP_NOISE * self.start_seconds:
            return None
        return statistics.linear_regression(list(map(math.log, self.sizes)), list(map(math.log, beyond))).slope

    @property
    def fitted(self) -> str:
        """The exponent as shown in a table."""
        return "none: hidden by start-up" if self.exponent is None else f"{self.exponent:.2f}"


@dataclass(frozen=True, slots=True)
class Absent:
    """A peer that could not be measured, with the reason."""

    stage: str
    peer: str
    reason: str


Row = Race | Limit | Growth | Absent
KINDS: dict[str, type[Race] | type[Limit] | type[Growth] | type[Absent]] = {
    kind.__name__: kind for kind in (Race, Limit, Growth, Absent)
}


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--scores`, which every benchmark has."""
    parser.add_argument("--scores", type=Path, help="append rows for the scoreboard to this file, one line of JSON each")


def append_rows(path: Path | None, rows: Iterable[Row]) -> None:
    """Append rows to the file. Without a path, do nothing."""
    if path is not None:
        with path.open("a") as file:
            file.writelines(json.dumps(row_to_json(row)) + "\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file; an empty list if there is no file. An incomplete last line, left by a killed benchmark, is ignored."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [row_from_json(json.loads(line)) for line in lines if line.endswith("\n")]


def row_to_json(row: Row) -> dict[str, Any]:
    """Return the row's fields and its kind."""
    return {"kind": type(row).__name__, **asdict(row)}


def row_from_json(fields: dict[str, Any]) -> Row:
    """Return the row that `row_to_json` made these fields of."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items() if name != "kind"}
    return KINDS[fields["kind"]](**values)


def peak_mb(process: int | None = None) -> float:
    """Peak memory in MB of this process or another: the kernel's high-water mark, which a fork does not inherit, unlike ru_maxrss."""
    status = Path("/proc", str(process or "self"), "status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def reset_peak() -> None:
    """Restart the high-water mark of this process at its current memory (Linux's `clear_refs`)."""
    Path("/proc/self/clear_refs").write_text("5")


def per_unit(amount: float, seconds: Sequence[float]) -> tuple[float, ...]:
    """Divide seconds by the amount of work, so that runs on different amounts can be compared."""
    return tuple(value / amount for value in seconds)

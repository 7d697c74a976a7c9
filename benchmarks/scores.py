"""What benchmarks hand over for the scoreboard: rows of figures, each a line of JSON in the file that --scores names.

Reads nothing of ours or of a peer's, so that any benchmark may import it, whichever Python runs it.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DISTURBED = 3
"""So many times what takes milliseconds is clocked in a round, ours and theirs; the middle one counts."""


LOST = 0.1
"""What a size costs beyond the start says nothing where it is less than this share of it: one start differs from the next by so much."""


@dataclass(frozen=True, slots=True)
class Race:
    """Ours and one peer on the same input. Round i of one is beside round i of the other; figures are in `unit`, and less is better."""

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
        """How many times as fast ours was: least, median, most of the rounds."""
        found = [their / our for our, their in zip(self.ours, self.theirs, strict=True)]
        return min(found), statistics.median(found), max(found)


@dataclass(frozen=True, slots=True)
class Limit:
    """Ours and what no program of this kind goes below on this machine, in paired rounds of the same unit."""

    stage: str
    limit: str
    unit: str
    ours: tuple[float, ...]
    least: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, float, float]:
        """How near the limit ours comes, 1 being there: least, median, most of the rounds."""
        found = [least / our for our, least in zip(self.ours, self.least, strict=True)]
        return min(found), statistics.median(found), max(found)


@dataclass(frozen=True, slots=True)
class Growth:
    """CPU seconds and peak memory by size of the input. `start_seconds` are taken off before the exponent is fitted."""

    stage: str
    unit: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    peaks_mb: tuple[float, ...]
    start_seconds: float = 0.0

    @property
    def exponent(self) -> float | None:
        """Of seconds as a power of size, by least squares of the logarithms; None where a size costs hardly more than the start."""
        beyond = [seconds - self.start_seconds for seconds in self.seconds]
        if min(beyond) <= LOST * self.start_seconds:
            return None
        return statistics.linear_regression(list(map(math.log, self.sizes)), list(map(math.log, beyond))).slope

    @property
    def fitted(self) -> str:
        """The exponent as a table shows it."""
        return "none: lost in the start" if self.exponent is None else f"{self.exponent:.2f}"


@dataclass(frozen=True, slots=True)
class Absent:
    """A peer that could not be measured, and why."""

    stage: str
    peer: str
    reason: str


Row = Race | Limit | Growth | Absent
KINDS: dict[str, type[Race] | type[Limit] | type[Growth] | type[Absent]] = {
    kind.__name__: kind for kind in (Race, Limit, Growth, Absent)
}


def add_flag(parser: argparse.ArgumentParser) -> None:
    """The flag that every benchmark has."""
    parser.add_argument("--scores", type=Path, help="append the scoreboard's rows to this file, a line of JSON each")


def hand_over(path: Path | None, rows: Iterable[Row]) -> None:
    """Append rows to the file, where there is one."""
    if path is not None:
        with path.open("a") as file:
            file.writelines(json.dumps(to_json(row)) + "\n" for row in rows)


def collected(path: Path) -> list[Row]:
    """The rows of a file; none where no benchmark has written to it. A last line without its end is of one that was killed."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [of_json(json.loads(line)) for line in lines if line.endswith("\n")]


def to_json(row: Row) -> dict[str, Any]:
    """The row's fields and its kind."""
    return {"kind": type(row).__name__, **asdict(row)}


def of_json(said: dict[str, Any]) -> Row:
    """The row again."""
    kind = KINDS[said["kind"]]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if name != "kind"})


def peak_mb(process: int | None = None) -> float:
    """Peak memory of this process or of another, from the kernel's high-water mark: a fork does not inherit it, as it does ru_maxrss."""
    status = Path("/proc", str(process or "self"), "status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def forget_peak() -> None:
    """What `peak_mb` of this process says counts from here on: from what it holds now, as Linux offers (`clear_refs`)."""
    Path("/proc/self/clear_refs").write_text("5")


def per(amount: float, seconds: Sequence[float]) -> tuple[float, ...]:
    """Seconds a unit, so that two who were given different amounts can stand side by side."""
    return tuple(value / amount for value in seconds)

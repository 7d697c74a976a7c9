"""The page of all benchmarks, made of what they handed over and of nothing else: scoreboard, limits, growth, then what each printed."""

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from benchmarks.scores import Absent, Growth, Limit, Race, Row, of_json, to_json

ABOUT = (
    "Made by `make bench`; not edited by hand. Ours and each peer did the same on the same input, in one run, in turns. *Times as fast* is "
    "the peer's figure over ours, round by round: least, median, most; the figures themselves are medians, less is better. CPU seconds are "
    "of all processes. Peak memory is of the largest process, in MB. What the figures mean, what was tried, and runs of other days: "
    "[measurements.md](measurements.md)."
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and on what a benchmark ran."""

    processor: str
    cores: int
    memory_gb: int
    python: str
    commit: str

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.memory_gb} GB, Python {self.python}, commit {self.commit}"


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's run. `failure` is empty where it ended well."""

    title: str
    command: str
    date: str
    seconds: float
    load: float
    machine: Machine
    printed: str
    failure: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The sections of a page, in the order of the data."""

    sections: tuple[Section, ...] = ()

    def with_section(self, section: Section, order: Sequence[str]) -> Self:
        """This record with a section in place of an earlier one of its title; what it does not replace stays, in the order of `order`."""
        others = [old for old in self.sections if old.title != section.title]
        places = {title: place for place, title in enumerate(order)}
        return replace(self, sections=tuple(sorted([*others, section], key=lambda s: places.get(s.title, len(places)))))

    def to_json(self) -> str:
        """As a file holds it."""
        sections = [asdict(section) | {"rows": [to_json(row) for row in section.rows]} for section in self.sections]
        return json.dumps(sections, indent=1) + "\n"

    @classmethod
    def of_json(cls, text: str) -> Self:
        """The record again."""
        return cls(tuple(_section(said) for said in json.loads(text)))


def _section(said: dict[str, Any]) -> Section:
    return Section(**said | {"machine": Machine(**said["machine"]), "rows": tuple(map(of_json, said["rows"]))})


def render(record: Record, order: Sequence[str]) -> str:
    """The page in Markdown. `order` are the titles of all benchmarks there are: those that have no section are named."""
    rows = [row for section in record.sections for row in section.rows]
    parts = [
        "# Benchmarks",
        ABOUT,
        "\n".join(_heads(record, order)),
        "## Scoreboard",
        table(
            ("stage", "what", "peer", "times as fast", "unit", "ours", "peer", "ours, MB", "peer, MB", "rounds"),
            (_race(row) for row in rows if isinstance(row, Race)),
        ),
        "## How far from the machine's limit",
        table(
            ("stage", "limit", "unit", "ours", "limit", "ours reaches, of 1"),
            (_limit(row) for row in rows if isinstance(row, Limit)),
        ),
        "## Growth",
        table(
            ("stage", "sizes", "CPU s", "exponent", "peak, MB"),
            (_growth(row) for row in rows if isinstance(row, Growth)),
        ),
        *(_told(section) for section in record.sections),
    ]
    return "\n\n".join(parts) + "\n"


def _heads(record: Record, order: Sequence[str]) -> Iterator[str]:
    """Machine by machine what ran there, then what did not run or not well."""
    for machine in dict.fromkeys(section.machine for section in record.sections):
        here = [section for section in record.sections if section.machine == machine]
        dates = sorted({section.date for section in here})
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        loads = [section.load for section in here]
        yield (
            f"- {span}, {machine}: {len(here)} benchmarks in {sum(section.seconds for section in here) / 60:.0f} minutes, "
            f"load average before each {min(loads):.1f} to {max(loads):.1f}"
        )
    absent = [title for title in order if title not in {section.title for section in record.sections}]
    failed = [f"{section.title} ({section.failure})" for section in record.sections if section.failure]
    missing = [row for section in record.sections for row in section.rows if isinstance(row, Absent)]
    yield f"- not measured: {', '.join(absent) or 'nothing is left out'}"
    yield f"- peers not measured: {'; '.join(f'{row.peer} in {row.stage}, because {row.reason}' for row in missing) or 'none'}"
    yield f"- ended badly: {'; '.join(failed) or 'none'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _race(row: Race) -> Sequence[str]:
    fast = " - ".join(number(ratio) for ratio in row.ratios)
    medians = [number(statistics.median(figures)) for figures in (row.ours, row.theirs)]
    memory = ["" if peak is None else f"{peak:,.0f}" for peak in (row.ours_mb, row.theirs_mb)]
    return (row.stage, row.work, row.peer, f"**{fast}**", row.unit, *medians, *memory, str(len(row.ours)))


def _limit(row: Limit) -> Sequence[str]:
    medians = [number(statistics.median(figures)) for figures in (row.ours, row.least)]
    return row.stage, row.limit, row.unit, *medians, " - ".join(number(share) for share in row.shares)


def _growth(row: Growth) -> Sequence[str]:
    sizes = ", ".join(f"{size:,.0f}" for size in row.sizes)
    start = f" (start {number(row.start_seconds)} of each)" if row.start_seconds else ""
    seconds = ", ".join(number(value) for value in row.seconds)
    return row.stage, f"{sizes} {row.unit}", seconds + start, row.fitted, ", ".join(f"{p:,.0f}" for p in row.peaks_mb)


def _told(section: Section) -> str:
    failure = f"\n\nEnded badly: {section.failure}" if section.failure else ""
    head = f"## {section.title}\n\n`{section.command}`, {section.date}, {section.seconds:,.0f} s{failure}"
    return f"{head}\n\n```\n{section.printed.strip()}\n```"


def number(value: float) -> str:
    """Three figures, and no more than the value has.

    >>> number(0.01234), number(12.345), number(1234.5)
    ('0.0123', '12.3', '1,234')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"

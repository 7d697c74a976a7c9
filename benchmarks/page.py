"""The page docs/benchmarks.md, rendered from recorded rows and output alone: scoreboard, limits, growth, then each benchmark's output."""

import json
import statistics
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from benchmarks.headlines import headlines, row_cells
from benchmarks.scores import Absent, Growth, Limit, Race, Row, row_from_json, row_to_json

PROSE_WIDTH = 100
CHART = "pictures/benchmarks.svg"
HEADLINES = (
    "How fast is webtext, compared with other tools that do the same work? The chart and the table have one row for each kind of "
    "work: they compare webtext, with its default settings, with the tool that does best at this work. *Times as fast* above 1 "
    "means that webtext is faster. Figures are medians of several rounds. Some stages of webtext do more than the other tool: "
    "for links it applies rules, computes keys and records drops where the other only reads lines, and for tokens it writes "
    "files where the other only encodes. The time for this is included. *Every peer* below has all tools, with spread and memory."
)
ABOUT = (
    "`make bench` makes this page; do not edit it by hand. webtext (*ours*) and each other tool (*peer*) do the same work on the "
    "same input, in one run, and take turns. *Times as fast* is the peer's figure divided by ours, computed for each round; the "
    "full table gives minimum, median and maximum. All other figures are medians; less is better. CPU seconds count all "
    "processes. Peak memory, in MB, is that of the largest process. [measurements.md](measurements.md) explains the figures and "
    "has runs of other days."
)
LIMITS = (
    "How much faster could webtext become on this machine? For each stage the table has a limit: the time of the work that no "
    "program can avoid, such as decompression alone. In the last column (minimum, median and maximum), 1 would mean that the "
    "stage takes no longer than its limit."
)
GROWTH = (
    "Does the time grow in step with the data? An exponent of 1 means that twice the data take twice the time; below 1, they "
    "take less than that."
)
OUTPUT = "The rest of this page is what each benchmark printed."


@dataclass(frozen=True, slots=True)
class HostMachine:
    """The machine, the Python and the commit of a benchmark's run."""

    processor: str
    cores: int
    memory_gb: int
    python: str
    commit: str

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.memory_gb} GB, Python {self.python}, commit {self.commit}"


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark's run. `failure` is empty if it succeeded."""

    title: str
    command: str
    date: str
    seconds: float
    load: float
    machine: HostMachine
    printed: str
    failure: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchmarkRecord:
    """The sections of a page, in the order of the pipeline."""

    sections: tuple[Section, ...] = ()

    def with_section(self, section: Section, order: Sequence[str]) -> Self:
        """Return a record in which `section` replaces the one of its title. All sections are sorted as in `order`."""
        others = [old for old in self.sections if old.title != section.title]
        places = {title: place for place, title in enumerate(order)}
        return replace(self, sections=tuple(sorted([*others, section], key=lambda s: places.get(s.title, len(places)))))

    def to_json(self) -> str:
        """Serialise the record as JSON."""
        sections = [asdict(section) | {"rows": [row_to_json(row) for row in section.rows]} for section in self.sections]
        return json.dumps(sections, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record from the JSON that `to_json` gives."""
        return cls(tuple(_section(fields) for fields in json.loads(text)))


def _section(fields: dict[str, Any]) -> Section:
    return Section(**fields | {"machine": HostMachine(**fields["machine"]), "rows": tuple(map(row_from_json, fields["rows"]))})


def render(record: BenchmarkRecord, order: Sequence[str]) -> str:
    """Render the page as Markdown. `order` lists the titles of all benchmarks; the page names those without a section."""
    rows = [row for section in record.sections for row in section.rows]
    parts = [
        "# Benchmarks",
        f"![How many times as fast webtext is as the best peer of each kind of work]({CHART})",
        _wrap(HEADLINES),
        table(
            ("work", "best peer", "times as fast", "ours", "peer", "unit"),
            (row_cells(label, race, number(race.ratios[1])) for label, race in headlines(r for r in rows if isinstance(r, Race))),
        ),
        "## How it was measured",
        _wrap(ABOUT),
        "\n".join(_wrap(item, "  ") for item in _summary(record, order)),
        "## Every peer",
        table(
            ("stage", "work", "peer", "times as fast", "unit", "ours", "peer", "ours, MB", "peer, MB", "rounds"),
            (_race(row) for row in rows if isinstance(row, Race)),
        ),
        "## How far from the machine's limit",
        _wrap(LIMITS),
        table(
            ("stage", "limit", "unit", "ours", "limit", "limit / ours"),
            (_limit(row) for row in rows if isinstance(row, Limit)),
        ),
        "## Growth",
        _wrap(GROWTH),
        table(
            ("stage", "sizes", "CPU s", "exponent", "peak, MB"),
            (_growth(row) for row in rows if isinstance(row, Growth)),
        ),
        OUTPUT,
        *(_output(section) for section in record.sections),
    ]
    return "\n\n".join(parts) + "\n"


def _wrap(text: str, indent: str = "") -> str:
    return textwrap.fill(text, PROSE_WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _summary(record: BenchmarkRecord, order: Sequence[str]) -> Iterator[str]:
    """Yield list items: the runs on each machine, then benchmarks and peers that are missing or failed."""
    for machine in dict.fromkeys(section.machine for section in record.sections):
        here = [section for section in record.sections if section.machine == machine]
        dates = sorted({section.date for section in here})
        span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        loads = [section.load for section in here]
        minutes = round(sum(section.seconds for section in here) / 60)
        yield (
            f"- {span}, {machine}: {_count(len(here), 'benchmark')} in {_count(minutes, 'minute')}, "
            f"load average before each benchmark {min(loads):.1f} to {max(loads):.1f}"
        )
    absent = [title for title in order if title not in {section.title for section in record.sections}]
    failed = [f"{section.title} ({section.failure})" for section in record.sections if section.failure]
    missing = [row for section in record.sections for row in section.rows if isinstance(row, Absent)]
    yield f"- benchmarks not measured: {', '.join(absent) or 'none'}"
    yield f"- peers not measured: {'; '.join(f'{row.peer} in {row.stage}, because {row.reason}' for row in missing) or 'none'}"
    yield f"- benchmarks that failed: {'; '.join(failed) or 'none'}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
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
    start = f" (start-up {number(row.start_seconds)} in each)" if row.start_seconds else ""
    seconds = ", ".join(number(value) for value in row.seconds)
    return row.stage, f"{sizes} {row.unit}", seconds + start, row.fitted, ", ".join(f"{p:,.0f}" for p in row.peaks_mb)


def _output(section: Section) -> str:
    failure = "\n\n" + _wrap(f"Failed: {section.failure}") if section.failure else ""
    head = f"## {section.title}\n\n{section.date}, {section.seconds:,.0f} s{failure}"
    return f"{head}\n\n```\n$ {section.command}\n{section.printed.strip()}\n```"


def number(value: float) -> str:
    """Format a value with three significant digits, and no more than it has.

    >>> number(0.01234), number(12.345), number(1234.5)
    ('0.0123', '12.3', '1,234')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"

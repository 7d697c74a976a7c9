"""Progress: a bar on a terminal, a line every 30 s elsewhere, with the rate and, once it is steady, the time left."""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.pace import Pace
from pipeline.engine.parts import Part, PhaseFolder, published_keys
from pipeline.storage import files
from tokenizer.terminal import OUTPUT, show_status

logger = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 30.0
LOOK_EVERY_SECONDS = 5.0
DRAW_EVERY_SECONDS = 0.5
BAR_CELLS, MIN_BAR_CELLS = 30, 8
DEFAULT_COLUMNS = 80


@dataclass(slots=True)
class Place:
    """The place of the running stage among those of its run: `2/7`; empty for a stage by itself."""

    text: str = ""


_place = Place()


@contextmanager
def numbered_stage(number: int, count: int) -> Iterator[None]:
    """While the block runs, progress is that of stage `number` of `count`."""
    _place.text = f"{number}/{count}"
    try:
        yield
    finally:
        _place.text = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a work is. `seconds_left` is None while the pace is not steady."""

    name: str
    done: int
    total: int
    unit: str
    rate: float
    seconds_left: float | None

    @property
    def text(self) -> str:
        """`1,200 of 4,000 links, 61/s, 46 s left`."""
        left = f", {duration_text(self.seconds_left)} left" if self.seconds_left is not None else ""
        return f"{self.done:,} of {self.total:,} {self.unit}, {rate_text(self.rate)}{left}"

    @property
    def line(self) -> str:
        """`pages 2/7: 1,200 of 4,000 links, 61/s, 46 s left`."""
        return f"{self.name}: {self.text}"

    def bar(self, columns: int, full: str = "━", rest: str = "╌") -> str:
        """The line with a bar, within `columns` columns: `pages 2/7 ━━━╌╌╌╌╌╌╌ 30 % 1,200 of 4,000 links, 61/s, 46 s left`."""
        share = min(1.0, self.done / self.total) if self.total else 1.0
        percent = f"{int(100 * share):3d} %"
        cells = min(BAR_CELLS, columns - len(self.name) - len(percent) - len(self.text) - 4)
        if cells < MIN_BAR_CELLS:
            return f"{self.name} {percent.strip()} {self.text}"[: max(0, columns - 1)]
        drawn = int(cells * share)
        return f"{self.name} {full * drawn}{rest * (cells - drawn)} {percent} {self.text}"

    def fields(self) -> dict[str, Any]:
        """The figures, for a log of JSON objects."""
        left = None if self.seconds_left is None else round(self.seconds_left)
        figures = {"done": self.done, "total": self.total, "unit": self.unit, "per_second": round(self.rate, 2)}
        return {"progress": {"name": self.name, **figures, "seconds_left": left}}


@contextmanager
def progress(phase: PhaseFolder, parts: Sequence[Part[Any]], unit: str) -> Iterator[None]:
    """While the block runs, show the progress of a phase's parts, which their files tell."""
    finished: set[str] = set()
    name = f"{phase.stage} {phase.name}".removesuffix(" main")
    total = sum(part.items for part in parts)

    def read() -> int:
        return _items_done(phase, parts, finished)

    with _shown(name, total, unit, read if files.is_local(phase.folder) else _seldom(read)):
        yield


def _seldom(read: Callable[[], int]) -> Callable[[], int]:
    """`read`, but asked no more often than every 30 s: each listing of an object store costs."""
    asked, answer = -math.inf, 0

    def seldom() -> int:
        nonlocal asked, answer
        if time.monotonic() - asked >= LOG_EVERY_SECONDS:
            asked, answer = time.monotonic(), read()
        return answer

    return seldom


@contextmanager
def counted(name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """While the block runs, show the progress of a work of this process. Gives a function that counts finished items."""
    done = [0]

    def advance(items: int) -> None:
        done[0] += items

    with _shown(name, total, unit, lambda: done[0]):
        yield advance


@contextmanager
def _shown(name: str, total: int, unit: str, read: Callable[[], int]) -> Iterator[None]:
    if OUTPUT.quiet:
        yield
        return
    done = threading.Event()
    label = f"{name} {_place.text}".strip()
    watcher = threading.Thread(target=_watch, args=(label, total, unit, read, done), name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(name: str, total: int, unit: str, read: Callable[[], int], done: threading.Event) -> None:
    terminal = sys.stderr.isatty() and not OUTPUT.json_lines
    started, pace, logged = time.monotonic(), Pace(), 0.0
    pace.add(0.0, read())
    while not done.wait(DRAW_EVERY_SECONDS if terminal else LOOK_EVERY_SECONDS):
        now, seconds = read(), time.monotonic() - started
        pace.add(seconds, now)
        standing = Standing(name, now, total, unit, pace.rate, pace.seconds_left(total))
        if terminal:
            show_status(_bar(standing))
        elif seconds - logged >= LOG_EVERY_SECONDS:
            logged = seconds
            logger.info("%s", standing.line, extra={"fields": standing.fields()})
    if terminal:
        show_status("")


def _bar(standing: Standing) -> str:
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or DEFAULT_COLUMNS
    except (OSError, ValueError):
        columns = DEFAULT_COLUMNS
    plain = "utf" not in (sys.stderr.encoding or "").lower()
    return standing.bar(columns, *(("=", "-") if plain else ()))


def rate_text(rate: float) -> str:
    """`61/s`, `0.4/s`, `1,200/s`."""
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"


def duration_text(seconds: float) -> str:
    """`14 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _items_done(phase: PhaseFolder, parts: Sequence[Part[Any]], finished: set[str]) -> int:
    """Items of finished parts, plus those that running parts report; an object store is listed, and holds no reports.

    `finished` keeps the keys of parts that have a receipt, which are not looked for again.
    """
    if not files.is_local(phase.folder):
        done = published_keys(phase)
        return sum(part.items for part in parts if part.key in done)
    items = 0
    for part in parts:
        if part.key in finished or Path(phase.receipt_path(part.key)).exists():
            finished.add(part.key)
            items += part.items
            continue
        try:
            items += min(part.items, int(Path(phase.progress_path(part.key)).read_text() or 0))
        except (OSError, ValueError):
            continue
    return items

"""The progress line: finished items, rate and time left."""

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.parts import Part, PhaseFolder, published_keys
from pipeline.storage import files
from tokenizer.labels import printable
from tokenizer.terminal import control

logger = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 30.0


@contextmanager
def progress(phase: PhaseFolder, parts: Sequence[Part[Any]], unit: str) -> Iterator[None]:
    """While the block runs, show items, rate and time left: one line on a terminal, a log line every 30 s elsewhere."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(phase, parts, unit, done), name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(phase: PhaseFolder, parts: Sequence[Part[Any]], unit: str, done: threading.Event) -> None:
    terminal = sys.stderr.isatty()
    total = sum(part.items for part in parts)
    started = time.monotonic()
    before = _items_done(phase, parts)
    while not done.wait(0.5 if terminal else LOG_EVERY_SECONDS):
        now = _items_done(phase, parts)
        line = progress_line(
            f"{phase.stage} {phase.name}".removesuffix(" main"),
            now,
            total,
            now - before,
            time.monotonic() - started,
            unit,
        )
        if terminal:
            control(sys.stderr, f"\r\x1b[K{printable(line)}")
            sys.stderr.flush()
        else:
            logger.info("%s", line)
    if terminal:
        control(sys.stderr, "\r\x1b[K")
        sys.stderr.flush()


def progress_line(name: str, done: int, total: int, new: int, seconds: float, unit: str) -> str:
    """`documents: 1,200 of 4,000 pages, 61/s, 46 s left`."""
    rate = new / seconds if seconds > 0 else 0.0
    left = f", {duration_text((total - done) / rate)} left" if rate > 0 and total > done else ""
    return f"{name}: {done:,} of {total:,} {unit}, {rate:,.0f}/s{left}"


def duration_text(seconds: float) -> str:
    """`14 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _items_done(phase: PhaseFolder, parts: Sequence[Part[Any]]) -> int:
    """Items of finished parts, plus those that running parts report; an object store is listed, and holds no reports."""
    if not files.is_local(phase.folder):
        done = published_keys(phase)
        return sum(part.items for part in parts if part.key in done)
    items = 0
    for part in parts:
        if Path(phase.receipt_path(part.key)).exists():
            items += part.items
            continue
        try:
            items += min(part.items, int(Path(phase.progress_path(part.key)).read_text() or 0))
        except (OSError, ValueError):
            continue
    return items

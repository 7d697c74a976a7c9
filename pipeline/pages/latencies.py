"""How long requests took, counted by bounds: for the report, never for what is published."""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

BOUND_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


NAMES = (*(f"to {bound:g} s" for bound in BOUND_SECONDS), f"over {BOUND_SECONDS[-1]:g} s")
"""Of the counts, in order."""


class Latencies:
    """Told by many threads."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUND_SECONDS) + 1)
        self._lock = threading.Lock()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block's seconds, however it ends."""
        started = monotonic()
        try:
            yield
        finally:
            self.add(monotonic() - started)

    def add(self, seconds: float) -> None:
        """Count one request of so many seconds."""
        with self._lock:
            self._counts[bisect_left(BOUND_SECONDS, seconds)] += 1

    def counts(self) -> dict[str, int]:
        """By NAMES, without the empty ones."""
        return {name: count for name, count in zip(NAMES, self._counts, strict=True) if count}

"""Counts of request times by range: for the report, never for published data."""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from pipeline.pages.failures import AddressBusyError

BOUND_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

NAMES = (*(f"to {bound:g} s" for bound in BOUND_SECONDS), f"over {BOUND_SECONDS[-1]:g} s")
"""Names of the ranges, in order."""


class Latencies:
    """A histogram of request times, safe to share between threads."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUND_SECONDS) + 1)
        self._lock = threading.Lock()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the `with` block, however it ends; but for a request that was not sent."""
        started = monotonic()
        sent = True
        try:
            yield
        except AddressBusyError:
            sent = False
            raise
        finally:
            if sent:
                self.add(monotonic() - started)

    def add(self, seconds: float) -> None:
        """Count one request that took `seconds`."""
        with self._lock:
            self._counts[bisect_left(BOUND_SECONDS, seconds)] += 1

    def counts(self) -> dict[str, int]:
        """Number of requests by name of the range; empty ranges are left out."""
        return {name: count for name, count in zip(NAMES, self._counts, strict=True) if count}

"""The pace of a work: its rate, and the time left where that can be said."""

from collections import deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
"""The rate is that of the last minute: a crawl's first minute says nothing of its third hour."""

STEADY_SECONDS = 8.0
"""No time left before so much has been seen."""

STEADY_RATIO = 0.6
"""The pace is steady where the slower half of the window has at least this share of the faster half's rate."""


@dataclass(slots=True)
class Pace:
    """Counts of finished items with their times, in seconds since the start."""

    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, seconds: float, done: int) -> None:
        """Note that so many items were finished at this time."""
        self._samples.append((seconds, done))
        while seconds - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Items per second within the window; 0 where nothing has been seen."""
        return _rate(self._samples[0], self._samples[-1]) if self._samples else 0.0

    def seconds_left(self, total: int) -> float | None:
        """The time until `total` items at this pace; None while the pace is not steady."""
        if not self._samples:
            return None
        first, last = self._samples[0], self._samples[-1]
        if last[0] - first[0] < STEADY_SECONDS or last[1] >= total:
            return None
        middle = min(self._samples, key=lambda sample: abs(sample[0] - (first[0] + last[0]) / 2))
        slow, fast = sorted((_rate(first, middle), _rate(middle, last)))
        return (total - last[1]) / self.rate if slow > 0 and slow >= STEADY_RATIO * fast else None


def _rate(before: tuple[float, int], after: tuple[float, int]) -> float:
    seconds = after[0] - before[0]
    return (after[1] - before[1]) / seconds if seconds > 0 else 0.0

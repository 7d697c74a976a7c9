"""The record of a page's way through extraction."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Trail:
    """What each step did to a page, for a person to read, and counts for the stage's counters."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    confidence: float | None = None
    """How sure the extractor was of the page's text: the F1 that it expects."""

    def note(self, step: str, effect: str) -> None:
        """Record what a step did."""
        self.steps.append((step, effect))

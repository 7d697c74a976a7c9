"""The record of a page's way through extraction."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.documents.account import PageAccount


@dataclass(slots=True)
class Trail:
    """What each step did to a page, for a person to read, and counts for the stage's counters."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    confidence: float | None = None
    """How sure the extractor was of the page's text: the F1 that it expects."""
    account: PageAccount | None = None
    """Where one is given, the page's blocks and removed lines are noted in it."""

    def note(self, step: str, effect: str) -> None:
        """Record what a step did."""
        self.steps.append((step, effect))

    def start_from(self, text: str) -> None:
        """Note in the account, if any, the text that the next steps work on."""
        if self.account is not None:
            self.account.text = text

    def follow(self, step: str, text: str) -> None:
        """Note in the account, if any, what a step left of the text."""
        if self.account is not None:
            self.account.follow(step, text)

"""The account of one page for a person: its blocks, why each was kept or dropped, and which lines later rules removed."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class BlockAccount:
    """A block of a page: its text, its element's name, its probability (None where none was asked for), and the rule that decided."""

    text: str
    element: str
    likely: float | None
    kept: bool
    rule: str


@dataclass(slots=True)
class PageAccount:
    """What became of a page's blocks and lines.

    `path` says in a sentence which way the text was found; `text` is as far as it came; `removed` are lines with the step that removed
    them, in order.
    """

    path: str = ""
    blocks: list[BlockAccount] = field(default_factory=list)
    text: str = ""
    removed: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, step: str, text: str) -> None:
        """Note what a step left of the text."""
        self.removed += [(step, line) for line in removed_lines(self.text, text)]
        self.text = text

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The account that `to_json` gave as plain values."""
        blocks = [BlockAccount(**block) for block in values["blocks"]]
        return cls(values["path"], blocks, values["text"], [(step, line) for step, line in values["removed"]])


def removed_lines(before: str, after: str) -> list[str]:
    r"""The lines that a step removed; lines count without the white space at their ends.

    >>> removed_lines("Title\n\nOne\nShare\nTwo", "One\nTwo")
    ['Title', 'Share']
    """
    kept = [line.strip() for line in after.split("\n") if line.strip()]
    removed, at = [], 0
    for line in (line.strip() for line in before.split("\n")):
        if at < len(kept) and line == kept[at]:
            at += 1
        elif line:
            removed.append(line)
    return removed if at == len(kept) else []

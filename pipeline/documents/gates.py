"""Gates in front of the parser: pages that no parser should read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

STRETCH_CHARACTERS: Final = 16_384
"""The attributes of a tag are counted only where this many characters hold no '>'."""

ATTRIBUTE: Final = re.compile(r"[\s/]+[^\s=>/\"'<]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+))?")
TAG_START: Final = re.compile(r"<[A-Za-z]")
LOOKS_LIKE_MARKUP: Final = re.compile(
    r"<(?:!doctype\s+html|html|head|body|title|meta|div|p|table|article|span|h1|a\s)", re.IGNORECASE
)
SNIFFED_CHARACTERS: Final = 4096


@dataclass(frozen=True)
class Gates:
    """The largest page that is parsed. The maxima of 1,211 real pages: 2.7 MB, 25,496 tags, 38 attributes in one tag."""

    page_bytes: int = 5_000_000
    page_tags: int = 100_000
    tag_attributes: int = 1_000


DEFAULT_GATES: Final = Gates()


def too_large(markup: str, gates: Gates) -> str | None:
    """The gate that the page does not pass, in a few words; None where it passes all.

    >>> too_large("<br>" * 5, Gates(page_tags=4))
    '5 tags, at most 4'
    """
    tags = markup.count("<")
    if tags > gates.page_tags:
        return f"{tags} tags, at most {gates.page_tags}"
    for stretch in _long_stretches(markup):
        start = TAG_START.search(stretch)
        if start and _attributes(stretch, start.end(), gates.tag_attributes) > gates.tag_attributes:
            return f"a tag with more than {gates.tag_attributes} attributes"
    return None


def looks_like_markup(text: str) -> bool:
    """Whether a page without a media type is probably HTML."""
    return LOOKS_LIKE_MARKUP.search(text, 0, SNIFFED_CHARACTERS) is not None


def _long_stretches(text: str) -> Iterator[str]:
    """The text between two '>' that are STRETCH_CHARACTERS or more apart, in a few steps per page."""
    start = 0
    while start + STRETCH_CHARACTERS < len(text):
        last = text.rfind(">", start, start + STRETCH_CHARACTERS)
        if last < 0:
            last = text.find(">", start + STRETCH_CHARACTERS)
            last = len(text) if last < 0 else last
            yield text[start:last]
        start = last + 1


def _attributes(stretch: str, start: int, enough: int) -> int:
    """The number of attributes from `start` on; counting ends above `enough`."""
    attributes = 0
    for _ in ATTRIBUTE.finditer(stretch, start):
        attributes += 1
        if attributes > enough:
            break
    return attributes

"""The extractors: the main text of a page's markup. Each is a pure function of the page.

trafilatura's `deduplicate` is never used: its cache outlives the page, so a page's text would depend on the pages before it.
"""

from typing import Final

from lxml.etree import LxmlError
from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from trafilatura import extract as trafilatura_extract
from trafilatura.settings import Extractor

from pipeline.documents import attribute_lists, html, page_head

BLOCKS: Final = "blocks"
CASCADE: Final = "cascade"
TRAFILATURA: Final = "trafilatura"
RESILIPARSE: Final = "resiliparse"
EXTRACTORS: Final = (BLOCKS, CASCADE, TRAFILATURA, RESILIPARSE)
"""The values of --extractor; the first is the default. `resiliparse` is in pipeline.documents.fast_extractor, all others go through
pipeline.documents.blocks.extractor."""

CONFIDENCE: Final = 0.87
"""The expected F1 below which the extractor `blocks` asks the cascade: about one page in seven."""

attribute_lists.install()

ONCE: Final = Extractor(fast=True, comments=False)
THOROUGH: Final = Extractor(fast=True, recall=True, comments=False)
PRECISE: Final = Extractor(fast=True, precision=True, comments=False)
RESCUE: Final = Extractor(comments=False)
"""trafilatura's settings, read once: reading its configuration costs a third of a millisecond per page."""

TRAFILATURA_TAGS: Final = 25_000
"""Above this many tags trafilatura's time is quadratic (50,000 paragraphs: 4.4 s), so resiliparse, which is linear, reads the page."""

SHORT_CHARACTERS: Final = 250
"""The shortest extraction that trafilatura itself accepts without trying again."""

IN_DOUBT: Final = 0.15
"""Where the text is shorter than this share of resiliparse's text, trafilatura's fallbacks extract the page again."""

WORTH_MORE: Final = 1.2
"""How many times longer the fallbacks' text must be to replace the first text."""

SURPLUS: Final = 1.15
"""A text this many times longer than resiliparse's, which misses little, holds more than the article: precision mode extracts again."""

FRAGMENT: Final = 0.1
FRAGMENT_CHARACTERS: Final = 1_000
"""A text shorter than this share of resiliparse's text, and than this many characters, is a fragment of the article."""

STANDFIRST_CHARACTERS: Final = 60
"""A page's description of at least this length is searched for in its text; this many characters must agree."""

LIBRARY_FAILURES: Final = (
    LxmlError,
    RecursionError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
)
"""What parsing libraries raise for a strange page. Anything else is a fault of our own and is not caught."""


def main_text(extractor: str, markup: str, tree: HtmlElement, spare: str = "") -> tuple[str, str]:
    """The main text by the extractor cascade or trafilatura, and the name of the method that gave it. Prunes the tree.

    `spare` is the text of another extractor, for where the cascade finds a fragment.

    Where elements nest thousands deep, trafilatura loses text and resiliparse's rules take a minute (40,000 <div>: 47 s): such a page
    gives all its text. Raises LIBRARY_FAILURES.
    """
    tags = markup.count("<")
    if tags >= html.DEEP_LEVELS and html.is_deep(tree):
        return all_text(markup), "plain"
    if tags > TRAFILATURA_TAGS:
        return by_resiliparse(markup), "resiliparse"
    if extractor == TRAFILATURA:
        html.strip_furniture(tree)
        return by_trafilatura(tree, ONCE), "trafilatura"
    return by_cascade(markup, tree, spare)


def by_cascade(markup: str, tree: HtmlElement, spare: str = "") -> tuple[str, str]:
    """The main text by trafilatura's fast recall mode, or by another method where that gives too much or a fragment.

    `spare` replaces a fragment, if it is long enough: the fallbacks cost three times the rest.

    Where recall mode gives too much, precision mode extracts again. Where it gives a fragment, the longest replaces it: trafilatura's
    fallbacks, or resiliparse. The surplus of recall mode is mostly paragraphs that are one link:
    they are removed before. On one page in twenty trafilatura gives a fragment or nothing; resiliparse costs a sixth and misses little, so
    its length identifies those pages.
    """
    description = page_head.description(tree)
    html.strip_furniture(tree)
    html.strip_pointers(tree)
    text, method = by_trafilatura(tree, THOROUGH), "thorough"
    broad = by_resiliparse(markup)
    if len(text) > SURPLUS * len(broad) and len(precise := by_trafilatura(tree, PRECISE)) >= SHORT_CHARACTERS:
        text, method = precise, "precise"
    is_fragment = len(text) < max(IN_DOUBT * len(broad), SHORT_CHARACTERS)
    if is_fragment and len(spare) >= max(SHORT_CHARACTERS, WORTH_MORE * len(text)):
        text, method = spare, BLOCKS
    elif is_fragment and (whole := html.parse(markup)) is not None:
        rescued = by_trafilatura(whole, RESCUE)
        if len(rescued) > WORTH_MORE * len(text):
            text, method = rescued, "rescued"
    if len(text) < min(FRAGMENT_CHARACTERS, FRAGMENT * len(broad)):
        text, method = broad, "broad"
    return with_standfirst(text, broad, description), method


def with_standfirst(text: str, broad: str, description: str) -> str:
    """The text with its standfirst above it: the line of `broad` that begins like the page's description, where the text lacks it.

    A line that stands below the text's beginning is no standfirst: sites describe themselves in a box at the end of their pages.

    >>> line = "Nobody saw the ship that came in with the morning tide, say the keepers."
    >>> with_standfirst("The harbour was quiet.", f"Harbour news\\n{line}", line).partition("\\n")[0] == line
    True
    """
    if not text or len(description) < STANDFIRST_CHARACTERS or description[:STANDFIRST_CHARACTERS] not in broad:
        return text
    start = broad.index(description[:STANDFIRST_CHARACTERS])
    line = broad[start:].partition("\n")[0].strip()
    text_start = broad.find(text.lstrip()[:STANDFIRST_CHARACTERS].partition("\n")[0])
    if 0 <= text_start < start:
        return text
    begins = start == 0 or not broad[broad.rfind("\n", 0, start) + 1 : start].strip()
    return f"{line}\n{text}" if begins and line[:STANDFIRST_CHARACTERS] not in text else text


def by_trafilatura(tree: HtmlElement, options: Extractor) -> str:
    """The main text by trafilatura."""
    return trafilatura_extract(tree, options=options) or ""


def by_resiliparse(markup: str | HTMLTree) -> str:
    """The main text by resiliparse, with DCLM's flags."""
    return str(extract_plain_text(markup, main_content=True, alt_texts=False, list_bullets=False, preserve_formatting=True))


def all_text(markup: str) -> str:
    """All text of a page, navigation and other furniture included."""
    return str(extract_plain_text(markup, preserve_formatting=True))

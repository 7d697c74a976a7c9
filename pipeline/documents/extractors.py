"""The extractors: a page in, its main text out. Each is a pure function of the page.

trafilatura's `deduplicate` is never used: its cache outlives the page, so a page's text would depend on the pages before it.
"""

from typing import Final

from lxml.etree import LxmlError
from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from trafilatura import extract as trafilatura_extract
from trafilatura.settings import Extractor

from pipeline.documents import html

EXTRACTORS: Final = ("cascade", "trafilatura", "resiliparse")
ONCE: Final = Extractor(fast=True, comments=False)
THOROUGH: Final = Extractor(fast=True, recall=True, comments=False)
PRECISE: Final = Extractor(fast=True, precision=True, comments=False)
RESCUE: Final = Extractor(comments=False)
"""trafilatura's settings, read once: reading its configuration costs a third of a millisecond a page."""

TRAFILATURA_TAGS: Final = 25_000
"""Above this many tags trafilatura's time is quadratic (50,000 paragraphs: 4.4 s), so resiliparse, which is linear, reads the page."""

SHORT_CHARACTERS: Final = 250
"""trafilatura's own least for an extraction that needs no second look."""

IN_DOUBT: Final = 0.15
"""An answer with less than this share of resiliparse's text is looked for again with trafilatura's fallbacks."""

WORTH_MORE: Final = 1.2
"""How much longer the second answer must be to replace the first."""

SURPLUS: Final = 1.15
"""An answer this much longer than resiliparse's, which misses little, has taken in what is no article: precision mode is asked."""

FRAGMENT: Final = 0.1
FRAGMENT_CHARACTERS: Final = 1_000
"""An answer with less than this share of resiliparse's text, and short besides, is a piece of the article, not the article."""

STANDFIRST_CHARACTERS: Final = 60
"""The least of a page's description that is looked for in its text, and as much of it as must agree."""

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
"""What a parsing library raises when it trips over a strange page; anything else is our own fault and is not caught."""


def main_text(extractor: str, markup: str, tree: HtmlElement) -> tuple[str, str]:
    """The main text and the name of the method that found it; prunes the tree. Raises LIBRARY_FAILURES.

    Where elements nest thousands deep trafilatura loses text and resiliparse's rules take a minute (40,000 <div>: 47 s), so such a page
    gives all its text.
    """
    tags = markup.count("<")
    if tags >= html.DEEP_LEVELS and html.is_deep(tree):
        return all_text(markup), "plain"
    if tags > TRAFILATURA_TAGS:
        return by_resiliparse(markup), "resiliparse"
    if extractor == "trafilatura":
        html.strip_furniture(tree)
        return by_trafilatura(tree, ONCE), "trafilatura"
    return by_cascade(markup, tree)


def by_cascade(markup: str, tree: HtmlElement) -> tuple[str, str]:
    """trafilatura's fast recall mode on a tree without furniture; precision mode where that is too much, its fallbacks or the page's own
    statement where it is a fragment.

    What recall brings in too much is mostly paragraphs that are one link, and those are gone before. On one page in twenty trafilatura
    returns a fragment or nothing; resiliparse costs a sixth and misses little, so its length tells those pages.
    """
    stated, description = html.article_body(tree), html.description(tree)
    html.strip_furniture(tree)
    html.strip_pointers(tree)
    text, method = by_trafilatura(tree, THOROUGH), "thorough"
    broad = by_resiliparse(markup)
    if len(text) > SURPLUS * len(broad) and len(precise := by_trafilatura(tree, PRECISE)) >= SHORT_CHARACTERS:
        text, method = precise, "precise"
    if len(text) < max(IN_DOUBT * len(broad), SHORT_CHARACTERS) and (whole := html.parse(markup)) is not None:
        rescued = by_trafilatura(whole, RESCUE)
        if len(rescued) > WORTH_MORE * len(text):
            text, method = rescued, "rescued"
    if len(text) < min(FRAGMENT_CHARACTERS, FRAGMENT * len(broad)):
        text, method = broad, "broad"
    if len(text) < len(stated) / 2:
        text, method = stated, "stated"
    return with_standfirst(text, broad, description), method


def with_standfirst(text: str, broad: str, description: str) -> str:
    """The text below its standfirst: the line of `broad` that begins as the page describes itself, where the text lacks it.

    >>> line = "Nobody saw the ship that came in with the morning tide, say the keepers."
    >>> with_standfirst("The harbour was quiet.", f"Harbour news\\n{line}", line).partition("\\n")[0] == line
    True
    """
    if not text or len(description) < STANDFIRST_CHARACTERS or description[:STANDFIRST_CHARACTERS] not in broad:
        return text
    start = broad.index(description[:STANDFIRST_CHARACTERS])
    line = broad[start:].partition("\n")[0].strip()
    begins = start == 0 or not broad[broad.rfind("\n", 0, start) + 1 : start].strip()
    return f"{line}\n{text}" if begins and line[:STANDFIRST_CHARACTERS] not in text else text


def by_trafilatura(tree: HtmlElement, options: Extractor) -> str:
    """The main text as trafilatura finds it."""
    return trafilatura_extract(tree, options=options) or ""


def by_resiliparse(markup: str | HTMLTree) -> str:
    """The main text as resiliparse finds it; the flags are DCLM's."""
    return str(extract_plain_text(markup, main_content=True, alt_texts=False, list_bullets=False, preserve_formatting=True))


def all_text(markup: str) -> str:
    """All text of a page, whatever it is."""
    return str(extract_plain_text(markup, preserve_formatting=True))

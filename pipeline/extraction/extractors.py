"""The extractors: a page in, its main text out. Each is a pure function of the page.

trafilatura's `deduplicate` is never used: its cache outlives the page, so a page's text would depend on the pages before it.
"""

from typing import Final

from lxml.etree import LxmlError
from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import extract as trafilatura_extract

from pipeline.extraction import html

EXTRACTORS: Final = ("cascade", "trafilatura", "resiliparse")
TRAFILATURA_TAGS: Final = 25_000
"""Above this many tags trafilatura's time is quadratic (50,000 paragraphs: 4.4 s), so resiliparse, which is linear, reads the page."""

SHORT_CHARACTERS: Final = 250
"""trafilatura's own least for an extraction that needs no second look."""

IN_DOUBT: Final = 0.8
"""A precise answer with less than this share of resiliparse's text is asked for again."""

WORTH_MORE: Final = 1.2
"""How much longer the thorough answer must be to replace the precise one."""

FRAGMENT: Final = 0.1
FRAGMENT_CHARACTERS: Final = 1_000
"""An answer with less than this share of resiliparse's text, and short besides, is a piece of the article, not the article."""

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
    """The main text and the name of the method that found it. Raises LIBRARY_FAILURES.

    Where elements nest thousands deep trafilatura loses text and resiliparse's rules take a minute (40,000 <div>: 47 s), so such a page
    gives all its text.
    """
    if html.is_deep(tree):
        return str(extract_plain_text(markup, preserve_formatting=True)), "plain"
    if extractor == "resiliparse" or markup.count("<") > TRAFILATURA_TAGS:
        return by_resiliparse(markup), "resiliparse"
    if extractor == "trafilatura":
        return by_trafilatura(tree), "trafilatura"
    return by_cascade(markup, tree)


def by_cascade(markup: str, tree: HtmlElement) -> tuple[str, str]:
    """trafilatura for precision; where its answer is short beside resiliparse's, what its other modes or the page itself offer.

    On pages that it reads well its precise mode is the best there is, but on one page in twenty it returns a fragment or nothing.
    resiliparse costs a tenth and misses little, so its length tells those pages.
    """
    text, method = by_trafilatura(tree, precise=True), "precise"
    broad = by_resiliparse(markup)
    if len(text) < max(IN_DOUBT * len(broad), SHORT_CHARACTERS):
        thorough = by_trafilatura(tree, thorough=True)
        if len(text) < SHORT_CHARACTERS or len(thorough) > WORTH_MORE * len(text):
            text, method = thorough, "thorough"
    fragment = min(FRAGMENT_CHARACTERS, FRAGMENT * len(broad))
    if len(text) < max(SHORT_CHARACTERS, fragment):
        rescued = by_trafilatura(tree, fast=False)
        if len(rescued) > len(text):
            text, method = rescued, "rescued"
    if len(text) < fragment:
        text, method = broad, "broad"
    if len(text) < len(stated := html.article_body(tree)) / 2:
        text, method = stated, "stated"
    return text, method


def by_trafilatura(tree: HtmlElement, *, precise: bool = False, thorough: bool = False, fast: bool = True) -> str:
    """The main text as trafilatura finds it, without readers' comments."""
    text = trafilatura_extract(tree, fast=fast, favor_precision=precise, favor_recall=thorough, include_comments=False)
    return text or ""


def by_resiliparse(markup: str) -> str:
    """The main text as resiliparse finds it; the flags are DCLM's."""
    return str(extract_plain_text(markup, main_content=True, alt_texts=False, list_bullets=False, preserve_formatting=True))

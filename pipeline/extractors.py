"""The extractors: a page's tree or text in, its main text out. Each is a pure function of the page and its options.

trafilatura's `deduplicate` is never used: its cache outlives the page, so a page's text would depend on the pages before it.
"""

from typing import Final

from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import extract as trafilatura_extract

EXTRACTORS: Final = ("trafilatura", "resiliparse")
TRAFILATURA_TAGS: Final = 25_000
"""Above this many tags trafilatura's time is quadratic (50,000 paragraphs: 4.4 s), so resiliparse, which is linear, reads the page."""


def by_trafilatura(tree: HtmlElement, *, comments: bool = False, tables: bool = True) -> str:
    """The main text as trafilatura finds it with its faster heuristics (docs/benchmarks.md: no F1 is lost by them)."""
    return trafilatura_extract(tree, fast=True, include_comments=comments, include_tables=tables) or ""


def by_resiliparse(text: str) -> str:
    """The main text as resiliparse finds it, a sixteenth of trafilatura's cost; the flags are DCLM's."""
    return extract_plain_text(text, main_content=True, alt_texts=False, list_bullets=False, preserve_formatting=True)

"""A page's markup: the gates that keep out what no parser should be given, the parse, and the cheap facts of its head.

lxml silently loses all below some 255 levels of nesting and all after a run of 10 MB; `huge_tree` lifts both, and the gates bound the
page instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson
from lxml.etree import ErrorTypes, ParserError, XMLSyntaxError, XPath
from lxml.html import HtmlElement, HTMLParser, document_fromstring

STRETCH_CHARACTERS: Final = 16_384
"""A stretch without '>' that is worth a closer look."""

ATTRIBUTE: Final = re.compile(r"[\s/]+[^\s=>/\"'<]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+))?")
DEEP_LEVELS: Final = 2_000
DEEP: Final = XPath(f"boolean(//*[ancestor::*[{DEEP_LEVELS}]])")
MARKUP: Final = re.compile(r"</?[A-Za-z][^<>]{0,1000}>")
TAG_START: Final = re.compile(r"<[A-Za-z]")
XML_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
LOOKS_LIKE_MARKUP: Final = re.compile(
    r"<(?:!doctype\s+html|html|head|body|title|meta|div|p|table|article|span|h1|a\s)", re.IGNORECASE
)


@dataclass(frozen=True)
class Gates:
    """The largest page that is parsed. Of 1,211 real pages the largest has 25,496 tags, 38 attributes in one, 2.7 MB."""

    page_bytes: int = 5_000_000
    page_tags: int = 100_000
    tag_attributes: int = 1_000


DEFAULT_GATES: Final = Gates()


def too_large(text: str, gates: Gates) -> str | None:
    """Why the page is not parsed, in a few words; None where it may be.

    >>> too_large("<br>" * 5, Gates(page_tags=4))
    '5 tags, at most 4'
    """
    tags = text.count("<")
    if tags > gates.page_tags:
        return f"{tags} tags, at most {gates.page_tags}"
    for stretch in _long_stretches(text):
        start = TAG_START.search(stretch)
        if start and _attributes(stretch, start.end(), gates.tag_attributes) > gates.tag_attributes:
            return f"a tag with more than {gates.tag_attributes} attributes"
    return None


def looks_like_markup(text: str) -> bool:
    """Whether a page without a media type is HTML."""
    return LOOKS_LIKE_MARKUP.search(text, 0, 4096) is not None


def parse(text: str) -> HtmlElement | None:
    """The page's tree, however deep; None where there is no element in it. Raises MemoryError rather than cut a page."""
    parser = HTMLParser(huge_tree=True, remove_comments=True, remove_pis=True, collect_ids=False)
    try:
        tree = document_fromstring(XML_DECLARATION.sub("", text.replace("\x00", "")), parser=parser, ensure_head_body=False)
    except (ParserError, XMLSyntaxError):
        tree = None
    if any(error.type == ErrorTypes.ERR_NO_MEMORY for error in parser.error_log.filter_from_fatals()):
        raise MemoryError
    return tree


def is_deep(tree: HtmlElement) -> bool:
    """Whether elements nest deeper than any that people write; 0.3 ms."""
    return bool(DEEP(tree))


def title(tree: HtmlElement) -> str | None:
    """The title that the page gives itself: og:title first, since <title> often carries the site's name."""
    return next(iter(_titles(tree)), None)


def headings(tree: HtmlElement) -> frozenset[str]:
    """All that the page calls itself: its titles and its first-level headings."""
    return frozenset(_titles(tree)) | {words for h1 in tree.iter("h1") if (words := " ".join(h1.text_content().split()))}


def article_body(tree: HtmlElement) -> str:
    """The longest `articleBody` that the page states in its JSON-LD (schema.org); empty where it states none."""
    bodies = [
        body
        for script in tree.iter("script")
        if script.get("type") == "application/ld+json" and "articleBody" in (script.text or "")
        for body in _values(_json(script.text), "articleBody")
    ]
    return max(bodies, key=len, default="")


def _titles(tree: HtmlElement) -> list[str]:
    stated = (meta.get("content") for meta in tree.iter("meta") if meta.get("property") == "og:title")
    found = [next(stated, None), *(element.text_content() for element in islice(tree.iter("title"), 1))]
    return [words for value in found if (words := " ".join((value or "").split()))]


def _long_stretches(text: str) -> Iterator[str]:
    """What lies between two '>' a long way apart, found in a few steps a page."""
    start = 0
    while start + STRETCH_CHARACTERS < len(text):
        last = text.rfind(">", start, start + STRETCH_CHARACTERS)
        if last < 0:
            last = text.find(">", start + STRETCH_CHARACTERS)
            last = len(text) if last < 0 else last
            yield text[start:last]
        start = last + 1


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _values(node: Any, key: str) -> Iterator[str]:
    """The strings under `key` at any depth."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(value := node.get(key), str):
                yield MARKUP.sub(" ", value)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _attributes(stretch: str, start: int, enough: int) -> int:
    attributes = 0
    for _ in ATTRIBUTE.finditer(stretch, start):
        attributes += 1
        if attributes > enough:
            break
    return attributes

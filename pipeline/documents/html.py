"""A page's markup: the gates that keep out what no parser should be given, the parse, and the cheap facts of its head.

lxml silently loses all below some 255 levels of nesting and all after a run of 10 MB; `huge_tree` lifts both, and the gates bound the
page instead.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any, Final, Self

import orjson
from lxml.etree import ElementDefaultClassLookup, ErrorTypes, ParserError, XMLSyntaxError, XPath, strip_elements
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


CLASSES: Final = ElementDefaultClassLookup(element=HtmlElement)
"""One class for all elements: lxml.html's own choice by tag calls Python for each and costs a tenth of extraction."""

FURNITURE: Final = (
    *("aside", "audio", "button", "canvas", "dialog", "embed", "footer", "iframe", "input", "link", "menu", "nav", "noscript"),
    *("object", "option", "picture", "select", "source", "style", "svg", "textarea", "video"),
)
"""Elements that never hold an article's text; trafilatura drops them too, but later, after it has copied and searched them."""

PUBLISHED_KEYS: Final = ("article:published_time", "datePublished", "og:published_time", "pubdate", "dc.date")
DAY: Final = re.compile(r"\b((?:19|20)\d\d)-(\d\d)-(\d\d)")
DAY_CHARACTERS: Final = 120
"""How far behind its key a date may stand."""

LINES: Final = ("p", "h2", "h3", "h4", "h5", "h6")
POINTER_SHARE: Final = 0.9
POINTER_CHARACTERS: Final = 15
POINTERS_SHARE: Final = 0.25


@dataclass(frozen=True)
class Gates:
    """The largest page that is parsed. Of 1,211 real pages the largest has 25,496 tags, 38 attributes in one, 2.7 MB."""

    page_bytes: int = 5_000_000
    page_tags: int = 100_000
    tag_attributes: int = 1_000


DEFAULT_GATES: Final = Gates()


@dataclass(frozen=True, slots=True)
class Head:
    """What a page says of itself: its title, all that it calls itself, and its day of publication."""

    title: str | None
    headings: frozenset[str]
    published: date | None

    @classmethod
    def of(cls, titles: Iterable[str | None], headings: Iterable[str], markup: str) -> Self:
        """The first title counts: og:title comes before <title>, which often carries the site's name."""
        named = [words for value in titles if (words := " ".join((value or "").split()))]
        also = {words for value in headings if (words := " ".join(value.split()))}
        return cls(next(iter(named), None), frozenset(also.union(named)), published(markup))


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
    parser.set_element_class_lookup(CLASSES)
    try:
        tree = document_fromstring(XML_DECLARATION.sub("", text.replace("\x00", "")), parser=parser, ensure_head_body=False)
    except (ParserError, XMLSyntaxError):
        tree = None
    if any(error.type == ErrorTypes.ERR_NO_MEMORY for error in parser.error_log.filter_from_fatals()):
        raise MemoryError
    return tree


def is_deep(tree: HtmlElement) -> bool:
    """Whether elements nest deeper than any that people write; 0.3 ms, so ask only where there are as many tags."""
    return bool(DEEP(tree))


def strip_furniture(tree: HtmlElement) -> None:
    """Take out what trafilatura drops anyway, before it copies and searches the tree."""
    strip_elements(tree, *FURNITURE, with_tail=False)


def strip_pointers(tree: HtmlElement) -> None:
    """Take out paragraphs and headings that are one link: they point at other pages.

    Where those make up much of the page's paragraphs the page is a list of links, and keeps them.
    """
    lines = [(line, _characters(line)) for line in tree.iter(*LINES)]
    pointers = [
        (line, size)
        for line, size in lines
        if size >= POINTER_CHARACTERS
        and (link := next(line.iter("a"), None)) is not None
        and _characters(link) >= POINTER_SHARE * size
    ]
    if sum(size for _, size in pointers) <= POINTERS_SHARE * sum(size for _, size in lines):
        for line, _ in pointers:
            line.drop_tree()


def description(tree: HtmlElement) -> str:
    """What the page's head says that it is about; empty where it says nothing."""
    stated = (
        " ".join((meta.get("content") or "").split())
        for meta in tree.iter("meta")
        if meta.get("property") == "og:description" or (meta.get("name") or "").lower() == "description"
    )
    return next(filter(None, stated), "")


def head(tree: HtmlElement, markup: str) -> Head:
    """What the page says of itself."""
    stated = next((meta.get("content") for meta in tree.iter("meta") if meta.get("property") == "og:title"), None)
    titles = [stated, *(element.text_content() for element in islice(tree.iter("title"), 1))]
    return Head.of(titles, [h1.text_content() for h1 in tree.iter("h1")], markup)


def published(markup: str) -> date | None:
    """The day that the page's markup (Open Graph, schema.org) gives as that of its publication.

    >>> published('<meta property="article:published_time" content="2017-05-04T10:00:00Z">')
    datetime.date(2017, 5, 4)
    """
    for key in PUBLISHED_KEYS:
        at = markup.find(key)
        if at >= 0 and (found := DAY.search(markup, at, at + DAY_CHARACTERS)):
            with suppress(ValueError):
                return date(*map(int, found.groups()))
    return None


def article_body(tree: HtmlElement) -> str:
    """The longest `articleBody` that the page states in its JSON-LD (schema.org); empty where it states none."""
    bodies = [
        body
        for script in tree.iter("script")
        if script.get("type") == "application/ld+json" and "articleBody" in (script.text or "")
        for body in _values(_json(script.text), "articleBody")
    ]
    return max(bodies, key=len, default="")


def _characters(element: HtmlElement) -> int:
    return len(" ".join(element.text_content().split()))


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

"""A page's tree: the parse, and the removal of what is not the article.

lxml silently loses everything below some 255 levels of nesting and after a run of 10 MB. `huge_tree` lifts both limits; the gates limit the
page instead.
"""

import re
from typing import Final

from lxml.etree import ElementDefaultClassLookup, ErrorTypes, ParserError, XMLSyntaxError, XPath, strip_elements
from lxml.html import HtmlElement, HTMLParser, document_fromstring

DEEP_LEVELS: Final = 2_000
DEEP: Final = XPath(f"boolean(//*[ancestor::*[{DEEP_LEVELS}]])")
XML_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
CLASSES: Final = ElementDefaultClassLookup(element=HtmlElement)
"""One class for all elements: lxml.html chooses by tag, which calls Python for each element and costs a tenth of extraction."""

FURNITURE: Final = (
    *("aside", "audio", "button", "canvas", "dialog", "embed", "footer", "iframe", "input", "link", "menu", "nav", "noscript"),
    *("object", "option", "picture", "select", "source", "style", "svg", "textarea", "video"),
)
"""Elements that never hold an article's text. trafilatura drops them too, but only after it has copied and searched them."""

LINES: Final = ("p", "h2", "h3", "h4", "h5", "h6")
POINTER_SHARE: Final = 0.9
"""A line of which a link makes up this share is a pointer to another page."""

POINTER_CHARACTERS: Final = 15
POINTERS_SHARE: Final = 0.25


def parse(text: str) -> HtmlElement | None:
    """The page's tree, however deep; None where the page has no element. Raises MemoryError rather than cut the page."""
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
    """Whether elements nest deeper than people write. It takes 0.3 ms: ask only where the page has DEEP_LEVELS tags or more."""
    return bool(DEEP(tree))


def strip_furniture(tree: HtmlElement) -> None:
    """Remove the elements of FURNITURE."""
    strip_elements(tree, *FURNITURE, with_tail=False)


def strip_pointers(tree: HtmlElement) -> None:
    """Remove paragraphs and headings that are one link: they point at other pages.

    Where they make up more than POINTERS_SHARE of the lines' text, the page is a list of links and keeps them.
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


def _characters(element: HtmlElement) -> int:
    return len(" ".join(element.text_content().split()))

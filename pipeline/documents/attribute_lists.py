"""trafilatura's tests of attributes, answered without XPath.

Half of trafilatura's time goes into XPath expressions whose regular expressions call Python for every element. The lists here give the
same elements: they walk the tree once per expression, and remember the answer for each pair of id and class. They stand for exactly the
expressions of the release that they were compared with; where trafilatura has others, its own stay.
"""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Final

from lxml.etree import XPath
from lxml.html import HtmlElement
from trafilatura import xpaths

TEST: Final = re.compile(r"re:test\(@(id|class), '([^']*)'(?:, '(i)')?\)")
TAGS: Final = re.compile(r"self::(\w+)")
KNOWN: Final = "781866ce11c914129efc07001e0d19594988cf5eeabef5753528d236dadee4dd"
"""sha256 of the expressions that are replaced."""

Test = Callable[[HtmlElement, str, str], bool]


class AttributeList:
    """An expression by its element names, the patterns for `id` and `class`, and a test of all else. Called with a tree, as an XPath is.

    `then` is the expression itself, asked where it has a condition that is not tested here and an element passes the others.
    """

    def __init__(
        self,
        path: str,
        *,
        whole: Callable[[str, str], bool] | None = None,
        other: Test | None = None,
        then: Callable[[HtmlElement], list[HtmlElement]] | None = None,
    ) -> None:
        self.path = path
        self._tags = tuple(dict.fromkeys(TAGS.findall(path))) or ("*",)
        patterns: dict[str, list[re.Pattern[str]]] = {"id": [], "class": []}
        for attribute, pattern, flag in TEST.findall(path):
            patterns[attribute].append(re.compile(pattern, re.IGNORECASE if flag else 0))
        self._ids, self._classes = patterns["id"], patterns["class"]
        self._whole = whole
        self._other = other
        self._then = then
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, tree: HtmlElement) -> Iterator[HtmlElement]:
        """The elements below the tree's root that the expression gives, in document order."""
        found = [element for element in tree.iter(*self._tags) if element is not tree and self._matches(element)]
        return iter(self._then(tree) if found and self._then else found)

    def _matches(self, element: HtmlElement) -> bool:
        pair = element.get("id", ""), element.get("class", "")
        if pair != ("", ""):
            known = self._known.get(pair)
            if known is None:
                known = self._known[pair] = self._judge(*pair)
                if len(self._known) > MEMORY:
                    self._known.clear()
            if known:
                return True
        return self._other is not None and self._other(element, *pair)

    def _judge(self, identity: str, classes: str) -> bool:
        return (
            any(pattern.search(identity) for pattern in self._ids)
            or any(pattern.search(classes) for pattern in self._classes)
            or (self._whole is not None and self._whole(identity, classes))
        )


MEMORY: Final = 20_000
"""Pairs of id and class that are remembered. It changes no answer."""


def _first(element: HtmlElement, *names: str) -> str:
    """The value of the attribute that stands first: what XPath makes of `@a|@b`."""
    return next((value for name, value in element.items() if name in names), "")


def _is_discarded(element: HtmlElement, identity: str, classes: str) -> bool:
    return (("cookie" in identity or "cookie" in classes) and "cookie" in _first(element, "id", "class")) or _has_discarded_role(
        element
    )


def _has_discarded_role(element: HtmlElement) -> bool:
    return (
        element.get("data-lp-replacement-content") is not None
        or "nav" in element.get("role", "").replace("N", "n")
        or "MostPopularStories" in element.get("data-component", "")
    )


def _is_hidden(element: HtmlElement, identity: str, classes: str) -> bool:
    style = element.get("style", "")
    return (
        (bool(style) and ("display:none" in style or "display: none" in style))
        or (("hidden" in identity or "hidden" in style) and "hidden" in _first(element, "id", "style"))
        or (
            ((identity or classes).startswith("reply-") or classes.startswith("reply-"))
            and _first(element, "id", "class").startswith("reply-")
        )
        or element.get("aria-hidden") == "true"
    )


def _is_article_body(identity: str, classes: str) -> bool:
    return classes in ("post", "entry") or identity == "articleContent"


def _is_story(identity: str, classes: str) -> bool:
    return identity in ("article", "story") or classes in ("postarea", "art-postcontent", "text", "cell", "story")


def _is_content(identity: str, classes: str) -> bool:
    lower_main, lower_page = classes.replace("C", "c").replace("M", "m"), classes.replace("C", "c").replace("P", "p")
    return (
        identity == "content"
        or classes == "content"
        or "main-content" in identity.replace("C", "c").replace("M", "m")
        or "main-content" in lower_main
        or "page-content" in lower_page
    )


def _paths(expressions: list[Any]) -> list[str]:
    return [expression.path for expression in expressions if isinstance(expression, XPath)]


def _lists() -> tuple[list[Any], ...]:
    return xpaths.BODY_XPATH, xpaths.OVERALL_DISCARD_XPATH, xpaths.REMOVE_COMMENTS_XPATH, xpaths.RAW_TREE_PRUNE_XPATH


def install() -> bool:
    """Replace the lists, once; returns whether this release of trafilatura has the expressions that they stand for."""
    if isinstance(xpaths.OVERALL_DISCARD_XPATH[0], AttributeList):
        return True
    if fingerprint() != KNOWN:
        return False
    body, discard, comments, appended = map(_paths, _lists())
    xpaths.OVERALL_DISCARD_XPATH[:] = [
        AttributeList(discard[0], other=_is_discarded),
        AttributeList(discard[1], whole=lambda _, classes: classes == "comments-title", other=_is_hidden),
    ]
    xpaths.BODY_XPATH[0] = AttributeList(
        body[0], whole=_is_article_body, other=lambda element, *_: element.get("itemprop") == "articleBody"
    )
    xpaths.BODY_XPATH[2] = AttributeList(body[2], whole=_is_story, other=lambda element, *_: element.get("role") == "article")
    xpaths.BODY_XPATH[3] = AttributeList(body[3], whole=_is_content)
    xpaths.REMOVE_COMMENTS_XPATH[:] = [AttributeList(comments[0])]
    xpaths.RAW_TREE_PRUNE_XPATH[0] = AttributeList(appended[0], then=xpaths.RAW_TREE_PRUNE_XPATH[0])
    return True


def fingerprint() -> str:
    """sha256 of the expressions that this release of trafilatura has in place of those that are replaced."""
    return sha256("\n".join(path for expressions in _lists() for path in _paths(expressions)).encode()).hexdigest()

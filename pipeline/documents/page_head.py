"""What a page says of itself: titles, headings, description, and the article in its JSON-LD."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Self

import orjson
from lxml.html import HtmlElement

MARKUP: Final = re.compile(r"</?[A-Za-z][^<>]{0,1000}>")


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page's title, and all its titles and headings."""

    title: str | None
    headings: frozenset[str]

    @classmethod
    def of(cls, titles: Iterable[str | None], headings: Iterable[str]) -> Self:
        """The head of a page. Its title is the first that is not empty: put og:title before <title>, which often has the site's name."""
        named = [words for title in titles if (words := _one_line(title))]
        return cls(next(iter(named), None), frozenset({*named, *map(_one_line, headings)} - {""}))


def head(tree: HtmlElement) -> PageHead:
    """The head of a parsed page."""
    og_title = next((meta.get("content") for meta in tree.iter("meta") if meta.get("property") == "og:title"), None)
    titles = [og_title, *(element.text_content() for element in islice(tree.iter("title"), 1))]
    return PageHead.of(titles, [h1.text_content() for h1 in tree.iter("h1")])


def description(tree: HtmlElement) -> str:
    """The first description in the page's <meta> elements that is not empty; empty where there is none."""
    descriptions = (
        _one_line(meta.get("content"))
        for meta in tree.iter("meta")
        if meta.get("property") == "og:description" or (meta.get("name") or "").lower() == "description"
    )
    return next(filter(None, descriptions), "")


def article_body(tree: HtmlElement) -> str:
    """The longest `articleBody` in the page's JSON-LD (schema.org); empty where there is none."""
    bodies = [
        body
        for script in tree.iter("script")
        if script.get("type") == "application/ld+json" and "articleBody" in (script.text or "")
        for body in _values(_json(script.text), "articleBody")
    ]
    return max(bodies, key=len, default="")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _values(node: Any, key: str) -> Iterator[str]:
    """The strings under `key` at any depth, without markup."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(value := node.get(key), str):
                yield MARKUP.sub(" ", value)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)

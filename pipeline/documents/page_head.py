"""What a page says of itself: titles, headings and description."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Self

from lxml.html import HtmlElement


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page's title, and all its titles and headings."""

    title: str | None
    headings: frozenset[str]

    @classmethod
    def of(cls, titles: Iterable[str | None], headings: Iterable[str]) -> Self:
        """The head of a page. Its title is the first that is not empty: put og:title before <title>, which often has the site's name."""
        named = [words for title in titles if (words := _one_line(title))]
        return cls(next(iter(named), None), frozenset({*named, *_of_the_page(map(_one_line, headings), named)}))


def _of_the_page(headings: Iterable[str], titles: Iterable[str]) -> set[str]:
    """The headings that name the page. Where there are several, some name its sections: only those in a title count."""
    distinct = {heading for heading in headings if heading}
    if len(distinct) < 2:
        return distinct
    known = [_letters(title) for title in titles]
    return {heading for heading in distinct if (letters := _letters(heading)) and any(letters in title for title in known)}


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


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


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())

"""What a page says of itself: titles, headings, day of publication, description."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final, Self

from lxml.html import HtmlElement

PUBLISHED_KEYS: Final = ("article:published_time", "datePublished", "og:published_time", "pubdate", "dc.date")
DAY: Final = re.compile(r"\b((?:19|20)\d\d)-(\d\d)-(\d\d)")
DAY_CHARACTERS: Final = 120
"""A date may lie this far behind its key."""


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page's title, all its titles and headings, and its day of publication."""

    title: str | None
    headings: frozenset[str]
    published: date | None

    @classmethod
    def of(cls, titles: Iterable[str | None], headings: Iterable[str], markup: str) -> Self:
        """The head of a page. Its title is the first that is not empty: put og:title before <title>, which often has the site's name."""
        named = [words for title in titles if (words := _one_line(title))]
        return cls(
            next(iter(named), None), frozenset({*named, *_of_the_page(map(_one_line, headings), named)}), publication_day(markup)
        )


def _of_the_page(headings: Iterable[str], titles: Iterable[str]) -> set[str]:
    """The headings that name the page. Where there are several, some name its sections: only those in a title count."""
    distinct = {heading for heading in headings if heading}
    if len(distinct) < 2:
        return distinct
    known = [_letters(title) for title in titles]
    return {heading for heading in distinct if (letters := _letters(heading)) and any(letters in title for title in known)}


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def head(tree: HtmlElement, markup: str) -> PageHead:
    """The head of a parsed page."""
    og_title = next((meta.get("content") for meta in tree.iter("meta") if meta.get("property") == "og:title"), None)
    titles = [og_title, *(element.text_content() for element in islice(tree.iter("title"), 1))]
    return PageHead.of(titles, [h1.text_content() for h1 in tree.iter("h1")], markup)


def publication_day(markup: str) -> date | None:
    """The day of publication in the page's metadata (Open Graph, schema.org).

    >>> publication_day('<meta property="article:published_time" content="2017-05-04T10:00:00Z">')
    datetime.date(2017, 5, 4)
    """
    for key in PUBLISHED_KEYS:
        at = markup.find(key)
        if at >= 0 and (day := DAY.search(markup, at, at + DAY_CHARACTERS)):
            with suppress(ValueError):
                return date(*map(int, day.groups()))
    return None


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

"""Groups of words that tell what an element or a line is, and a machine that finds all of them in one pass over the bytes."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tokenizer.compiled import Array

ATTRIBUTE_GROUPS: Final = tuple(
    tuple(group.split())
    for group in (
        "comment disqus",
        "share sharing social addthis",
        "related relat recommend",
        "sidebar side-bar",
        "footer foot bottom",
        "header masthead",
        "nav menu",
        "bread crumb",
        "promo",
        "advert -ad ad- ads adv_ banner sponsor dfp outbrain taboola",
        "widget",
        "newsletter subscri signup sign-up optin",
        "cookie consent gdpr privacy",
        "popup modal overlay lightbox dialog",
        "tags taglist tag-list tagged keywords",
        "author byline",
        "bio profile",
        "meta",
        "date time publish",
        "caption credit",
        "gallery slide carousel swiper",
        "login account user register",
        "search",
        "pagin pager page-nav",
        "copyright legal disclaimer terms",
        "toolbar tools actions print edit",
        "button btn",
        "hidden hide sr-only screen-reader visually",
        "teaser preview excerpt",
        "more readmore",
        "next prev",
        "trending popular most latest recent",
        "video player audio",
        "image photo figure picture thumb",
        "form input field",
        "reply respond response",
        "rating vote review score",
        "rail aside complementary secondary",
        "list",
        "item",
        "card grid tile",
        "link",
        "embed twitter facebook instagram",
        "infobox factbox toc contents reference reflist",
        "notice alert message error warning",
        "product price shop cart",
        "event",
        "quote",
        "article",
        "articlebody article-body article_body article__body articletext",
        "content",
        "main",
        "body",
        "post",
        "entry",
        "story",
        "text",
        "lead intro standfirst summary dek subtitle deck description",
    )
)
"""Words of class, id, role and itemprop: one bit per group."""

TEXT_GROUPS: Final = tuple(
    tuple(group.split("|"))
    for group in (
        "copyright|\u00a9|all rights reserved|alle rechte",
        "photo|getty|reuters|credit:|foto|bild:|quelle|courtesy|image:|afp",
        "cookie",
        "newsletter|inbox",
        "subscribe|abonn|subscription",
        "sign up|log in|sign in|register|anmelden|login|registrier",
        "read more|weiterlesen|mehr zum thema|lesen sie auch|also read|see also|related|read also|siehe auch|lire aussi|leia",
        "advert|anzeige|werbung|sponsored|publicid",
        "share|tweet|facebook|twitter|whatsapp|pinterest|instagram|teilen",
        "comment|kommentar|coment",
        "follow us|folgen|follow ",
        "published|updated|posted|aktualisiert|publicado",
        "by |von |author|autor",
        "javascript|browser",
        "click|klick",
        "email|e-mail|mail",
        "download|pdf",
        "privacy|datenschutz|impressum|terms of|agb",
        "tags|kategor|categor|filed under|topics|themen",
        "reply|antwort",
        "price|warenkorb|cart|\u20ac|$",
        "loading",
        "http|www.",
        "tel.|telefon|phone|fax",
        "ago|min read|minutes",
        "next|previous|weiter|zur",
        "\u00bb|\u203a|\u2192|\u2022",
        "menu|search|suche",
        "watch|video",
        "all |alle ",
    )
)
"""Words of lines of text that are often furniture: one bit per group."""

SPECIAL_GROUPS: Final = (
    ("katex-html", "mathjax_preview", "mathjax_display", "mathjax_chtml", "mathjax_svg", "mjx-chtml", "mjx_assistive"),
    ("lineno", "line-num", "gutter", "linenumber", "blob-num"),
    ("blob-code", "code-line"),
)
"""Classes that the scan itself acts on: a formula's picture in HTML, the numbers beside code, a line of code outside <pre>."""

FORMULA_PICTURE, LINE_NUMBERS, CODE_LINE = (1 << (len(ATTRIBUTE_GROUPS) + special) for special in range(3))
HIDDEN: Final = 1 << 62
"""Set for an element that is hidden by `hidden`, `display: none` or `aria-hidden`."""

NOT_SHOWN: Final = 1 << 61
"""Set, beside HIDDEN, for an element that a browser does not show."""


def bit_of(groups: Sequence[Sequence[str]], word: str) -> int:
    """The bit of the group that holds a word.

    >>> bit_of((("nav", "menu"), ("promo",)), "promo")
    2
    """
    return 1 << next(number for number, group in enumerate(groups) if word in group)


class Machine:
    """Aho and Corasick's automaton over lower-cased UTF-8 bytes: `steps[state, byte]` is the next state, `found[state]` the groups."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        children: list[dict[int, int]] = [{}]
        found = [0]
        for bit, group in enumerate(groups):
            for word in group:
                state = 0
                for byte in word.encode():
                    if byte not in children[state]:
                        children[state][byte] = len(children)
                        children.append({})
                        found.append(0)
                    state = children[state][byte]
                found[state] |= 1 << bit
        self.steps = _steps(children, found)
        self.found = np.array(found, np.int64)


def _steps(children: Sequence[dict[int, int]], found: list[int]) -> Array:
    steps = np.zeros((len(children), 256), np.int16)
    fallback = [0] * len(children)
    for byte, state in children[0].items():
        steps[0, byte] = state
    queue = list(children[0].values())
    for state in queue:
        found[state] |= found[fallback[state]]
        steps[state] = steps[fallback[state]]
        for byte, child in children[state].items():
            fallback[child] = int(steps[fallback[state], byte])
            steps[state, byte] = child
            queue.append(child)
    steps[:, ord("A") : ord("Z") + 1] = steps[:, ord("a") : ord("z") + 1]
    return steps


ATTRIBUTE_MACHINE: Final = Machine((*ATTRIBUTE_GROUPS, *SPECIAL_GROUPS))
TEXT_MACHINE: Final = Machine(TEXT_GROUPS)

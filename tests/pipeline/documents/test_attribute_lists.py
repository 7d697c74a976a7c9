"""trafilatura's lists without XPath give the elements that its own expressions give."""

import random

import pytest
from lxml.etree import XPath
from lxml.html import HtmlElement, document_fromstring
from trafilatura import xpaths

from pipeline.documents import attribute_lists

REGEXP = {"re": xpaths.REGEXP_NS}
WORDS = (
    "cookie", "nav", "Nav", "share-x", "post", "entry", "content", "Content-Main", "main-content", "Main-Content",
    "page-Content", "story", "cell", "comment-list", "comments", "commentary", "hidden", "reply-1", "ad-x", "x ad y", "related",
    "teaser", "article-body", "articleBody", "text", "", "infinite-scroll", "mvp-post-add-box", "akismet", "hide-x", "x hide",
    "sidebar", "fulltext", "display:none", "display: none", "true", "article", "articleContent", "MostPopularStories",
    "comments-title", "footer", "menu",
)  # fmt: skip
TAGS = ("div", "section", "p", "span", "list", "item", "article", "main", "aside", "ul", "h1", "details")
ATTRIBUTES = ("id", "class", "style", "role", "itemprop", "aria-hidden", "data-component", "data-lp-replacement-content")


def replaced() -> list[attribute_lists.AttributeList]:
    lists = (xpaths.BODY_XPATH, xpaths.OVERALL_DISCARD_XPATH, xpaths.REMOVE_COMMENTS_XPATH, xpaths.RAW_TREE_PRUNE_XPATH)
    return [entry for entries in lists for entry in entries if isinstance(entry, attribute_lists.AttributeList)]


def tree(noise: random.Random) -> HtmlElement:
    pieces = []
    for _ in range(60):
        names = noise.sample(ATTRIBUTES, noise.randint(0, 3))
        attributes = "".join(f' {name}="{" ".join(noise.choices(WORDS, k=noise.randint(1, 2)))}"' for name in names)
        tag = noise.choice(TAGS)
        pieces.append(f"<{tag}{attributes}>x" + f"</{tag}>" * noise.randint(0, 1))
    return document_fromstring("<html><body>" + "".join(pieces))


def test_this_release_of_trafilatura_is_known() -> None:
    assert attribute_lists.install()
    assert len(replaced()) == 7


@pytest.mark.parametrize("seed", range(60))
def test_lists_give_what_the_expressions_give(seed: int) -> None:
    page = tree(random.Random(seed))
    for entry in replaced():
        found, expected = list(entry(page)), XPath(entry.path, namespaces=REGEXP)(page)
        if "[1]" in entry.path:  # trafilatura takes the first alone
            found, expected = found[:1], expected[:1]
        assert found == expected, entry.path


def test_another_release_keeps_its_own_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [XPath(".//div")]
    monkeypatch.setattr(xpaths, "OVERALL_DISCARD_XPATH", own)
    assert not attribute_lists.install()
    assert isinstance(own[0], XPath)

"""The extractor for corpora where ten times the speed is worth a coarser text: resiliparse parses once, and no other tree is built."""

from resiliparse.parse.html import HTMLTree

from pipeline.documents import extractors, html, page_head
from pipeline.documents.page_head import PageHead

DEEP_TAGS = 2 * html.DEEP_LEVELS
"""A page with fewer tags cannot nest so deep that resiliparse's rules take long."""


def main_text(markup: str) -> tuple[str, str, PageHead]:
    """The main text, the method that gave it, and the page's head. Raises what resiliparse raises."""
    if markup.count("<") >= DEEP_TAGS and (tree := html.parse(markup)) is not None and html.is_deep(tree):
        return extractors.all_text(markup), "plain", page_head.head(tree)
    tree = HTMLTree.parse(markup)
    return extractors.by_resiliparse(tree), "resiliparse", _head(tree)


def _head(tree: HTMLTree) -> PageHead:
    meta = tree.head.query_selector('meta[property="og:title"]') if tree.head else None
    og_title = meta.getattr("content") if meta else None
    headings = [heading.text or "" for heading in tree.document.get_elements_by_tag_name("h1")] if tree.document else ()
    return PageHead.of([og_title, tree.title], headings)

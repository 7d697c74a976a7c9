"""The default extractor: blocks that the forests choose; where they are in doubt, blocks that another extractor's text is made of."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.documents import extractors, html
from pipeline.documents.blocks.alignment import align
from pipeline.documents.blocks.page import BlockPage, text_of
from pipeline.documents.blocks.stated_article import stated_article
from pipeline.documents.page_head import PageHead

MIN_CHARACTERS: Final = 250
"""A shorter text is a fragment as often as an article: another extractor is asked."""

NO_MARKUP: Final = "no_markup"

MIN_COVERAGE: Final = 0.85
"""The share of another extractor's text that must be found in the page's blocks for these to replace it."""

SURELY_NOT, SURELY = 0.05, 0.9
"""Beside another extractor's text: blocks less likely than the first are left out, blocks likelier than the second are kept."""

STATED_AGAIN: Final = 1.2
"""trafilatura also takes the article that a page states in its JSON-LD, as one line: a text of about that length is that article."""

BLOCKS_SLOW: Final = 8_000
"""Above this many blocks, a page is a list of something, and looking for its text in them takes too long."""


class Extracted(NamedTuple):
    """A page's main text, the method that gave it, its head, and how sure the forests were."""

    text: str
    method: str
    head: PageHead
    confidence: float | None


def main_text(extractor: str, markup: str, url: str, min_confidence: float) -> Extracted:
    """The main text of a page by any extractor but resiliparse. Raises extractors.LIBRARY_FAILURES.

    The method is NO_MARKUP for a page without an element.
    """
    page = BlockPage.of(markup, url)
    confidence = None
    text, method, found = "", "", True
    if extractor == extractors.BLOCKS and page.is_complete and page.counts.blocks:
        choice = page.choice
        confidence = round(choice.confidence, 4)
        if confidence >= min_confidence and choice.characters >= MIN_CHARACTERS:
            text, method = page.text(choice.keep), "blocks"
    if not method:
        alone = extractor != extractors.BLOCKS
        text, method, found = by_other(page, extractor if alone else extractors.CASCADE, alone)
    stated = stated_article(markup, text_of) if extractor != extractors.TRAFILATURA else ""
    if len(text) < len(stated) / 2 or (not found and len(text) < STATED_AGAIN * len(stated)):
        text, method = stated, "stated"
    return Extracted(text, method, page.head(), confidence)


def by_other(page: BlockPage, extractor: str, extractor_is_alone: bool) -> tuple[str, str, bool]:
    """The text of the blocks that another extractor's text is made of, its method, and whether the blocks were found; else its own text.

    Unless the extractor is alone, the forests have a say where they are sure.
    """
    tree = html.parse(page.markup)
    if tree is None:
        return "", NO_MARKUP, False
    if page.is_complete and page.counts.blocks == 0:
        return "", "blocks", True
    has_choice = not extractor_is_alone and page.is_complete and page.counts.blocks > 0
    spare = page.text(page.choice.keep) if has_choice else ""
    text, method = extractors.main_text(extractor, page.markup, tree, spare)
    if method == extractors.BLOCKS:
        return spare, "unsure", True
    if not page.is_complete or not 0 < page.counts.blocks <= BLOCKS_SLOW or not text:
        return text, method, False
    aligned = align(page.block_texts(), text)
    if aligned.coverage < MIN_COVERAGE:
        return text, method, False
    keep = marked(page, aligned.blocks)
    if not extractor_is_alone:
        likely = page.choice.likely
        keep = (keep & (likely >= SURELY_NOT)) | (likely > SURELY)
    return page.text(keep), method, True


def marked(page: BlockPage, blocks: Sequence[int]) -> np.ndarray:
    """The mask of some blocks."""
    keep = np.zeros(page.counts.blocks, np.bool_)
    keep[list(blocks)] = True
    return keep

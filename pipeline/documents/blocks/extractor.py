"""The default extractor: blocks that the forests choose; where they are in doubt, blocks that another extractor's text is made of."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.documents import extractors, html
from pipeline.documents.blocks import stated_article
from pipeline.documents.blocks.alignment import align
from pipeline.documents.blocks.page import BlockPage, text_of
from pipeline.documents.page_head import PageHead
from tokenizer.compiled import Array

MIN_CHARACTERS: Final = 250
"""A shorter text is a fragment as often as an article: another extractor is asked."""

NO_MARKUP: Final = "no_markup"

MIN_COVERAGE: Final = 0.85
"""The share of another extractor's text that must be found in the page's blocks for these to replace it."""

SURELY_NOT, SURELY = 0.05, 0.9
"""Beside another extractor's text: blocks less likely than the first are left out, blocks likelier than the second are kept."""

STATED_LONGER: Final = 2
"""An article that a page states in its JSON-LD replaces a text if it is more than this many times as long."""

STATED_AGAIN: Final = 1.2
"""trafilatura also takes the article that a page states in its JSON-LD, as one line: a text of about that length is that article."""

BLOCKS_SLOW: Final = 8_000
"""Above this many blocks, a page is a list of something, and looking for its text in them takes too long."""


class Extracted(NamedTuple):
    """A page's main text, the method that gave it, its head, and how sure the forests were; the scanned page, and the mask of the blocks
    that the text is made of, None where it is made of no blocks."""

    text: str
    method: str
    head: PageHead
    confidence: float | None
    page: BlockPage
    keep: Array | None


class OtherText(NamedTuple):
    """The text that another extractor leads to, its method, and the mask of the blocks that it is made of: None where it is its own."""

    text: str
    method: str
    keep: Array | None


def main_text(extractor: str, markup: str, url: str, min_confidence: float) -> Extracted:
    """The main text of a page by any extractor but resiliparse. Raises extractors.LIBRARY_FAILURES.

    The method is NO_MARKUP for a page without an element.
    """
    page = BlockPage.of(markup, url)
    confidence = None
    text, method, keep = "", "", None
    if extractor == extractors.BLOCKS and page.is_complete and page.counts.blocks:
        choice = page.choice
        confidence = round(choice.confidence, 4)
        if confidence >= min_confidence and choice.characters >= MIN_CHARACTERS:
            text, method, keep = page.text(choice.keep), "blocks", choice.keep
    if not method:
        alone = extractor != extractors.BLOCKS
        text, method, keep = by_other(page, extractor if alone else extractors.CASCADE, alone)
    stated = ""
    if extractor != extractors.TRAFILATURA and page.has_any(stated_article.NAMES):
        stated = stated_article.longest_body(markup, text_of, 0 if keep is None else STATED_LONGER * len(text))
    if STATED_LONGER * len(text) < len(stated) or (keep is None and len(text) < STATED_AGAIN * len(stated)):
        text, method, keep = stated, "stated", None
    return Extracted(text, method, page.head(), confidence, page, keep)


def by_other(page: BlockPage, extractor: str, extractor_is_alone: bool) -> OtherText:
    """The text of the blocks that another extractor's text is made of; its own text where the blocks are not found.

    Unless the extractor is alone, the forests have a say where they are sure.
    """
    tree = html.parse(page.markup)
    if tree is None:
        return OtherText("", NO_MARKUP, None)
    if page.is_complete and page.counts.blocks == 0:
        return OtherText("", "blocks", np.zeros(0, np.bool_))
    has_choice = not extractor_is_alone and page.is_complete and page.counts.blocks > 0
    spare = page.text(page.choice.keep) if has_choice else ""
    text, method = extractors.main_text(extractor, page.markup, tree, spare)
    if method == extractors.BLOCKS:
        return OtherText(spare, "unsure", page.choice.keep)
    if not page.is_complete or not 0 < page.counts.blocks <= BLOCKS_SLOW or not text:
        return OtherText(text, method, None)
    aligned = align(page.block_texts(), text)
    if aligned.coverage < MIN_COVERAGE:
        return OtherText(text, method, None)
    keep = marked(page, aligned.blocks)
    if not extractor_is_alone:
        likely = page.choice.likely
        keep = (keep & (likely >= SURELY_NOT)) | (likely > SURELY)
    return OtherText(page.text(keep), method, keep)


def marked(page: BlockPage, blocks: Sequence[int]) -> Array:
    """The mask of some blocks."""
    keep = np.zeros(page.counts.blocks, np.bool_)
    keep[list(blocks)] = True
    return keep

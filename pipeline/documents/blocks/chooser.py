"""The chooser: which blocks are the article's, by two forests, and how sure that is."""

from typing import Final, NamedTuple

import numpy as np

from pipeline.documents.blocks import layout, tags, word_groups
from pipeline.documents.blocks.features import CONTEXT, FEATURES, RELATIONS_AT, describe, describe_context
from pipeline.documents.blocks.forest import judge
from pipeline.documents.blocks.layout import Scanned
from pipeline.documents.blocks.relations import Scratch, describe_relations
from pipeline.documents.blocks.scan import Counts
from pipeline.documents.blocks.weights import Weights
from tokenizer.compiled import Array, Integer, compiled

CUT: Final = 0.5
"""A block that is likelier than this is kept."""

HIDDEN_SHARE: Final = 0.5
"""Where less than this share of a page's text is hidden, hidden text is no text of the page; above, a script shows it."""


_BUTTON, _SUMMARY, _DT = tags.TAG["button"], tags.TAG["summary"], tags.TAG["dt"]
_DL_BIT: Final = tags.ancestor_bit("dl")


class ChosenBlocks(NamedTuple):
    """The probability of each block, which are kept, the F1 of the kept text that those probabilities let expect, and its characters."""

    likely: Array
    keep: Array
    confidence: float
    characters: int


def choose(page: Scanned, counts: Counts, weights: Weights) -> ChosenBlocks:
    """Judge the blocks of a scanned page."""
    count = counts.blocks
    likely, first = np.empty(count, np.float64), np.empty(count, np.float64)
    features = np.empty((count, FEATURES), np.float32)
    scratch = Scratch.of(counts)
    describe(page, count, features)
    describe_relations(page, counts, scratch, features, RELATIONS_AT)
    judge(weights.first, features, count, first)
    context = np.empty((count, CONTEXT), np.float32)
    describe_context(page, count, counts.elements, features, first, np.zeros((counts.elements, 3)), scratch, context)
    judge(weights.second, context, count, likely)
    likely[never(page, counts)] = 0.0
    return of_probabilities(page, counts, likely)


def of_probabilities(page: Scanned, counts: Counts, likely: Array) -> ChosenBlocks:
    """The choice that probabilities make."""
    keep = likely > CUT
    keep_questions(page, counts.blocks, keep)
    keep_terms(page, counts.blocks, likely, keep)
    sizes = page.blocks[: counts.blocks, layout.CHARACTERS].astype(np.float64)
    kept = float(sizes[keep].sum())
    right, missed = float((sizes * likely)[keep].sum()), float((sizes * likely)[~keep].sum())
    confidence = 2 * right / (kept + right + missed) if kept else 0.0
    return ChosenBlocks(likely, keep, confidence, int(kept))


def never(page: Scanned, counts: Counts) -> Array:
    """Blocks that are no text of the page: hidden ones, unless a script shows them, and the numbers beside lines of code."""
    blocks, masks = page.blocks[: counts.blocks], page.masks[: counts.blocks]
    hidden = (masks[:, layout.CLASSES] & word_groups.NOT_SHOWN) != 0
    if hidden.any():
        sizes = blocks[:, layout.CHARACTERS]
        hidden &= sizes[hidden].sum() < HIDDEN_SHARE * sizes.sum()
    numbers = np.zeros(counts.blocks, np.bool_)
    mark_line_numbers(page, counts.blocks, numbers)
    marked: Array = hidden | numbers
    return marked


@compiled
def mark_line_numbers(page: Scanned, count: Integer, marked: Array) -> None:
    """Mark the blocks of digits alone in a preformatted cell of a table, or in elements whose class says so."""
    for k in range(count):
        block = page.blocks[k]
        if block[layout.DIGITS] == block[layout.CHARACTERS]:
            is_cell = block[layout.IS_PREFORMATTED] and block[layout.CELL_OF] > 0
            marked[k] = is_cell or page.masks[k, layout.CLASSES] & np.int64(word_groups.LINE_NUMBERS) != 0


@compiled
def keep_questions(page: Scanned, count: Integer, keep: Array) -> None:
    """Keep buttons and summaries that end as sentences do where the next block, their answer, is kept."""
    for k in range(count - 1):
        block = page.blocks[k]
        if (
            block[layout.TAG_OF] in (_BUTTON, _SUMMARY)
            and block[layout.LAST_KIND] == layout.SENTENCE
            and block[layout.WORDS] >= 3
        ):
            keep[k] |= keep[k + 1]


@compiled
def keep_terms(page: Scanned, count: Integer, likely: Array, keep: Array) -> None:
    """Keep the terms of a list of definitions right before a block of the list that is kept, unless they are hidden."""
    for k in range(count - 2, -1, -1):
        if page.blocks[k, layout.TAG_OF] == _DT and likely[k] > 0 and page.masks[k + 1, layout.ANCESTRY] & np.int64(_DL_BIT):
            keep[k] |= keep[k + 1]

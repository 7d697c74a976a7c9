"""The arrays that hold a scanned page: their columns by name."""

from typing import Final, NamedTuple, Self

import numpy as np

from tokenizer.compiled import Array

START, END, BLOCK_OF, MODE = range(4)
"""Columns of a segment: its bytes, its block, and how its white space counts."""

PREFORMATTED, CODE, LINES, VERBATIM, BREAK_SHIFT = 1, 2, 4, 8, 4
"""Bits of MODE: its white space is text; its no-break spaces are text; its ends of lines are text; an ampersand in it is no more than
that. Above them: the number of <br> before it, 2 at most."""

COLLAPSED, KEPT, KEPT_LINES, KEPT_SOURCE = range(4)
"""What becomes of white space in an element: it is one space, it is text, only its ends of lines are text, or all is text as it stands in
the source, where there is no markup."""

(
    TAG_OF,
    DEPTH,
    ELEMENT,
    OFFSET,
    CHARACTERS,
    WORDS,
    STOPS,
    DIGITS,
    CAPITALS,
    COMMAS,
    LINK_CHARACTERS,
    LINKS,
    BREAKS,
    FIRST_KIND,
    LAST_KIND,
    TABLE,
    ROW,
    CELL_OF,
    IS_PREFORMATTED,
) = range(19)
"""Columns of a block: its innermost block element and how deep that is, its first byte, counts of its text, and its place in a table."""

SENTENCE: Final = 1
"""LAST_KIND of a block that ends as a sentence does."""

CLASSES, ANCESTRY, OWN_CLASSES, PARENT_CLASSES, TEXT_WORDS = range(5)
"""Columns of a block's masks: groups of words of all its elements' classes, its ancestors, groups of its own and its parents' classes, and
groups of words in its text."""

(
    PARENT,
    ELEMENT_TAG,
    CHILDREN,
    OWN_CHARACTERS,
    OWN_LINK_CHARACTERS,
    OWN_STOPS,
    ALL_CHARACTERS,
    ALL_LINK_CHARACTERS,
    PARAGRAPH_CHARACTERS,
    ALL_STOPS,
    BLOCKS,
    ORDINAL,
    TABLE_FACTS,
    LOOK,
) = range(14)
"""Columns of a block element: its parent, counts of its own text and of all below it, what a table or a cell needs to know, and a code
of its name and its classes' groups: elements that repeat look alike."""

HAS_HEADER, HAS_TABLE, HAS_CODE, IS_LAYOUT = 1, 2, 4, 8
"""Bits of a table's TABLE_FACTS."""

MAX_DEPTH: Final = 512
"""Levels of nesting that the scan follows."""

COMPLETE, TOO_DEEP, UNCLOSED = range(3)
"""How a scan ends: with the page, at an element nested too deep, or within an element whose content is skipped and that never ends."""


class Scanned(NamedTuple):
    """A page's bytes and the arrays that a scan fills. No page has more rows than it has '<', and one, so that none is ever full."""

    data: Array
    segments: Array
    blocks: Array
    masks: Array
    elements: Array

    @classmethod
    def of(cls, source: bytes) -> Self:
        """Empty arrays for a page's bytes."""
        rows = source.count(b"<") + 2
        return cls(
            np.frombuffer(source, np.uint8),
            np.empty((rows, 4), np.int32),
            np.empty((rows, 19), np.int32),
            np.empty((rows, 5), np.int64),
            np.empty((rows, 14), np.int32),
        )

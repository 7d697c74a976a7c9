"""The open elements of a scan: what each start and end tag opens and ends."""

from typing import Final, NamedTuple, Self

import numpy as np

from pipeline.documents.blocks import layout, tags
from pipeline.documents.blocks.white_space_style import UNSAID
from pipeline.documents.blocks.word_groups import CODE_LINE
from tokenizer.compiled import Array, Integer, compiled_inner

(
    DEPTH,
    FRESH,
    BREAKS,
    SEGMENTS,
    BLOCKS,
    ELEMENTS,
    SKIP_TAG,
    SKIP_SAME,
    SKIP_LEVEL,
    TITLE_START,
    TITLE_END,
    SPACE_START,
    SPACE_END,
    STATUS,
    HAS_MATH,
    STATES,
) = range(16)
"""Cells of a scan's state: how deep it is, whether the next text starts a block, the <br> since the last text, rows filled so far, what
is skipped and how deep, the page's <title>, white space of preformatted text that waits for its block, how the scan ends, and whether
there is MathML."""

TAG, ELEMENT, LINK, SPACE, CODE, TABLE, ROW, CELL, LEVEL_COLUMNS = range(9)
"""Columns of an open element: its number, the row of its innermost block element, whether it is within a link, what becomes of its white
space, whether it is within code, and the rows of its table, row and cell."""

OWN, ALL, ANCESTRY, MASK_COLUMNS = range(4)
"""Columns of an open element's masks: groups of its classes, those of all open elements, and bits of its ancestors and itself."""

_USED: Final = "a p li td th tr dd dt dl table div address code pre listing caption xmp plaintext"
_A, _P, _LI, _TD, _TH, _TR, _DD, _DT, _DL, _TABLE, _DIV, _ADDRESS, _CODE, _PRE, _LISTING, _CAPTION, _XMP, _PLAINTEXT = (
    tags.TAG[name] for name in _USED.split()
)
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(33)


class Stack(NamedTuple):
    """The open elements, outermost first; the first stands for the page."""

    levels: Array
    masks: Array

    @classmethod
    def empty(cls) -> Self:
        """Room for as many levels as a scan follows."""
        size = layout.MAX_DEPTH + 1
        return cls(np.zeros((size, LEVEL_COLUMNS), np.int32), np.zeros((size, MASK_COLUMNS), np.int64))


@compiled_inner
def innermost_block(stack: Stack, depth: Integer, kinds: Array) -> Integer:
    """The level of the innermost block element; 0 where there is none."""
    while depth > 0 and kinds[stack.levels[depth, TAG]] == tags.INLINE:
        depth -= 1
    return depth


@compiled_inner
def _end_open(stack: Stack, state: Array, tag: Integer, kinds: Array, facts: Array) -> None:  # noqa: C901 (one rule per element)
    """End the open elements that the start of a block element ends."""
    levels = stack.levels
    fact = facts[tag]
    if fact & tags.ENDS_PARAGRAPH:
        level = innermost_block(stack, state[DEPTH], kinds)
        if level > 0 and levels[level, TAG] == _P:
            state[DEPTH] = level - 1
    if fact & tags.HEADING:
        level = innermost_block(stack, state[DEPTH], kinds)
        if facts[levels[level, TAG]] & tags.HEADING:
            state[DEPTH] = level - 1
    if tag in (_LI, _DD, _DT):
        level = state[DEPTH]
        while level > 0:
            open_tag = levels[level, TAG]
            if open_tag == tag or (tag != _LI and open_tag in (_DD, _DT)):
                state[DEPTH] = level - 1
                break
            if kinds[open_tag] != tags.INLINE and open_tag not in (_P, _DIV, _ADDRESS):
                break
            level -= 1
    elif fact & tags.TABLE_PART and tag != _TABLE:
        level = state[DEPTH]
        while level > 0 and levels[level, TAG] != _TABLE:
            open_tag = levels[level, TAG]
            if fact & tags.CELL:
                if facts[open_tag] & tags.CELL or open_tag == _CAPTION:
                    state[DEPTH] = level - 1
                    break
                if open_tag == _TR:
                    break
            elif tag == _TR:
                if open_tag == _TR or facts[open_tag] & tags.SCOPE:
                    state[DEPTH] = level - 1
            else:
                state[DEPTH] = level - 1
            level -= 1


@compiled_inner
def open_element(
    page: layout.Scanned, stack: Stack, state: Array, tag: Integer, found: Array, style: Integer, kinds: Array, facts: Array
) -> None:
    """Open an inline or block element. `found`: its mask, whether it is a link, and the bit of its name among ancestors. `style` is what
    its style says of white space."""
    levels, masks, elements = stack.levels, stack.masks, page.elements
    is_block = kinds[tag] == tags.BLOCK
    if is_block:
        _end_open(stack, state, tag, kinds, facts)
        state[FRESH] = 1
        state[BREAKS] = 0
    elif tag == _A:
        _end_link(stack, state, kinds)
    depth = state[DEPTH] + 1
    if depth > layout.MAX_DEPTH:
        state[STATUS] = layout.TOO_DEEP
        return
    state[DEPTH] = depth
    for column in range(LEVEL_COLUMNS):
        levels[depth, column] = levels[depth - 1, column]
    levels[depth, TAG] = tag
    masks[depth, OWN] = found[0]
    masks[depth, ALL] = masks[depth - 1, ALL] | found[0]
    masks[depth, ANCESTRY] = masks[depth - 1, ANCESTRY] | found[2]
    if tag == _A:
        levels[depth, LINK] = found[1]
    levels[depth, SPACE] = _space(tag, found[0], style, levels[depth, SPACE])
    if tag == _CODE:
        levels[depth, CODE] = 1
    if is_block:
        _add_element(elements, levels, state, depth, tag, facts)
        elements[levels[depth, ELEMENT], layout.LOOK] = _look(tag, found[0])


@compiled_inner
def _space(tag: Integer, mask: Integer, style: Integer, around: Integer) -> Integer:
    """What becomes of white space in an element: by its name, its style, its classes, or the element around it."""
    if tag in (_XMP, _PLAINTEXT):
        return np.int64(layout.KEPT_SOURCE)
    if style != UNSAID:
        return np.int64(style - 1)
    if tag in (_PRE, _LISTING) or mask & np.int64(CODE_LINE):
        return np.int64(layout.KEPT)
    return np.int64(around)


@compiled_inner
def _look(tag: Integer, mask: Integer) -> Integer:
    """A code of 31 bits of an element's name and its groups of class words."""
    return np.int64((np.uint64(mask) * _MIX + np.uint64(tag)) * _MIX >> _SHIFT)


@compiled_inner
def _add_element(elements: Array, levels: Array, state: Array, depth: Integer, tag: Integer, facts: Array) -> None:
    """Add a row for a block element, and remember its place in a table."""
    number = state[ELEMENTS]
    state[ELEMENTS] += 1
    parent = levels[depth, ELEMENT]
    for column in range(elements.shape[1]):
        elements[number, column] = 0
    elements[number, layout.PARENT] = parent
    elements[number, layout.ELEMENT_TAG] = tag
    elements[parent, layout.CHILDREN] += 1
    levels[depth, ELEMENT] = number
    table = levels[depth, TABLE]
    if tag == _TABLE:
        if table > 0:
            elements[table, layout.TABLE_FACTS] |= layout.HAS_TABLE
        levels[depth, TABLE] = number
        levels[depth, ROW] = levels[depth, CELL] = 0
    elif table > 0:
        if tag == _TR:
            elements[table, layout.ORDINAL] += 1
            levels[depth, ROW] = number
            levels[depth, CELL] = 0
        elif facts[tag] & tags.CELL:
            row = levels[depth, ROW]
            elements[row, layout.ORDINAL] += 1
            elements[number, layout.ORDINAL] = elements[row, layout.ORDINAL]
            levels[depth, CELL] = number
            if tag == _TH:
                elements[table, layout.TABLE_FACTS] |= layout.HAS_HEADER
        elif tag == _CAPTION:
            levels[depth, ROW] = levels[depth, CELL] = 0
        elif tag == _PRE:
            elements[table, layout.TABLE_FACTS] |= layout.HAS_CODE


@compiled_inner
def _end_link(stack: Stack, state: Array, kinds: Array) -> None:
    """End a link that is open in this line: links do not nest."""
    level = state[DEPTH]
    while level > 0 and kinds[stack.levels[level, TAG]] == tags.INLINE:
        if stack.levels[level, TAG] == _A:
            state[DEPTH] = level - 1
            return
        level -= 1


@compiled_inner
def close_element(stack: Stack, state: Array, tag: Integer, kinds: Array, facts: Array) -> bool:
    """End an element, and all that are open in it. Returns whether one of this name was open and could be ended."""
    levels = stack.levels
    inline = kinds[tag] == tags.INLINE
    level = state[DEPTH]
    is_part = facts[tag] & tags.TABLE_PART
    while level > 0 and levels[level, TAG] != tag:
        open_tag = levels[level, TAG]
        if inline and kinds[open_tag] != tags.INLINE:
            return False
        if facts[open_tag] & tags.SCOPE and not is_part:
            return False
        if open_tag == _TABLE and is_part and tag != _TABLE:
            return False
        if tag == _LI and facts[open_tag] & tags.LIST:
            return False
        if facts[tag] & tags.HEADING and facts[open_tag] & tags.HEADING:
            break
        level -= 1
    if level == 0:
        return False
    state[DEPTH] = level - 1
    return True

"""What the scan notes of each stretch of text: where it is, and counts that tell prose from furniture."""

import numpy as np

from pipeline.documents.blocks import layout, nesting, spaces
from pipeline.documents.blocks.nesting import Stack
from tokenizer.compiled import Array, Integer, compiled_inner

_AMPERSAND = 38
_FIRST_LOWER, _FIRST_UPPER, _FIRST_DIGIT, _FIRST_WIDE, _FIRST_OTHER = range(5)


@compiled_inner
def add_text(
    page: layout.Scanned, stack: Stack, state: Array, start: Integer, end: Integer, kinds: Array, steps: Array, groups: Array
) -> None:
    """Add a stretch of text between two tags to the block that it belongs to; starts a block where one is due."""
    data, depth = page.data, state[nesting.DEPTH]
    space = stack.levels[depth, nesting.SPACE]
    pre = _is_kept(space)
    mode = _mode(space) | (layout.CODE if stack.levels[depth, nesting.CODE] else 0)
    at = start
    while at < end:
        wide = spaces.width(data, at, end)
        if wide == 0 or (data[at] == _AMPERSAND and space == layout.KEPT_SOURCE):
            break
        at += wide % spaces.KIND
    if at >= end:
        _add_space(page, state, start, end, mode)
        return
    if state[nesting.FRESH] or (state[nesting.BREAKS] >= 2 and not pre):
        _start_block(page, stack, state, at, kinds)
        if pre and state[nesting.SPACE_END] > state[nesting.SPACE_START]:
            _add_segment(page, state, state[nesting.SPACE_START], state[nesting.SPACE_END], layout.PREFORMATTED)
    _add_segment(page, state, start, end, mode)
    _count(page, state, stack.levels[depth, nesting.LINK] != 0, start, end, steps, groups)


@compiled_inner
def _is_kept(space: Integer) -> bool:
    """Whether all white space of an element is text."""
    return bool(space == layout.KEPT or space == layout.KEPT_SOURCE)


@compiled_inner
def _mode(space: Integer) -> Integer:
    """The bits of a segment's mode that follow from what becomes of its element's white space."""
    if space == layout.KEPT_SOURCE:
        return np.int64(layout.PREFORMATTED | layout.VERBATIM)
    return np.int64(layout.PREFORMATTED if space == layout.KEPT else layout.LINES if space == layout.KEPT_LINES else 0)


@compiled_inner
def _add_space(page: layout.Scanned, state: Array, start: Integer, end: Integer, mode: Integer) -> None:
    """Add white space between two tags: it separates words of a block, or waits for one that is preformatted."""
    pre = mode & layout.PREFORMATTED != 0
    if not state[nesting.FRESH] and (pre or state[nesting.BREAKS] == 0):
        _add_segment(page, state, start, end, mode)
    elif pre:
        state[nesting.SPACE_START], state[nesting.SPACE_END] = start, end


@compiled_inner
def _add_segment(page: layout.Scanned, state: Array, start: Integer, end: Integer, mode: Integer) -> None:
    row = state[nesting.SEGMENTS]
    state[nesting.SEGMENTS] += 1
    page.segments[row, layout.START] = start
    page.segments[row, layout.END] = end
    page.segments[row, layout.BLOCK_OF] = state[nesting.BLOCKS] - 1
    breaks = min(state[nesting.BREAKS], 2)
    page.segments[row, layout.MODE] = mode | breaks << layout.BREAK_SHIFT
    state[nesting.BREAKS] = 0
    state[nesting.SPACE_START] = state[nesting.SPACE_END] = 0


@compiled_inner
def _start_block(page: layout.Scanned, stack: Stack, state: Array, start: Integer, kinds: Array) -> None:
    """Start a block: its row, and the masks of the elements around it."""
    levels, masks = stack.levels, stack.masks
    number, depth = state[nesting.BLOCKS], state[nesting.DEPTH]
    state[nesting.BLOCKS] += 1
    state[nesting.FRESH] = 0
    row = page.blocks[number]
    level = nesting.innermost_block(stack, depth, kinds)
    for column in range(len(row)):
        row[column] = 0
    row[layout.TAG_OF] = levels[level, nesting.TAG]
    row[layout.DEPTH] = level
    row[layout.ELEMENT] = levels[level, nesting.ELEMENT]
    row[layout.OFFSET] = start
    row[layout.BREAKS] = min(state[nesting.BREAKS], 4)
    row[layout.TABLE] = levels[level, nesting.TABLE]
    row[layout.ROW] = levels[level, nesting.ROW]
    row[layout.CELL_OF] = levels[level, nesting.CELL]
    row[layout.IS_PREFORMATTED] = _is_kept(levels[depth, nesting.SPACE])
    row[layout.FIRST_KIND] = _first_kind(page.data[start])
    state[nesting.BREAKS] = 0
    own, parents = np.int64(0), np.int64(0)
    for k in range(level, depth + 1):
        own |= masks[k, nesting.OWN]
    for k in range(max(1, level - 2), level):
        parents |= masks[k, nesting.OWN]
    page.masks[number, layout.CLASSES] = masks[depth, nesting.ALL]
    page.masks[number, layout.ANCESTRY] = masks[depth, nesting.ANCESTRY]
    page.masks[number, layout.OWN_CLASSES] = own
    page.masks[number, layout.PARENT_CLASSES] = parents
    page.masks[number, layout.TEXT_WORDS] = 0


@compiled_inner
def _first_kind(byte: Integer) -> Integer:
    if 97 <= byte <= 122:
        return _FIRST_LOWER
    if 65 <= byte <= 90:
        return _FIRST_UPPER
    if 48 <= byte <= 57:
        return _FIRST_DIGIT
    return _FIRST_WIDE if byte >= 128 else _FIRST_OTHER


@compiled_inner
def _last_kind(byte: Integer) -> Integer:
    if byte in (46, 33, 63):
        return layout.SENTENCE
    if byte == 58:
        return 2
    if byte in (34, 39, 0x9D, 41, 59):
        return 3
    if byte == 0x82:
        return 4
    return 5 if byte == 44 else 0


@compiled_inner
def _count(page: layout.Scanned, state: Array, linked: bool, start: Integer, end: Integer, steps: Array, groups: Array) -> None:
    """Add the counts of a stretch of text to its block and to its element."""
    data = page.data
    characters = words = stops = digits = capitals = commas = 0
    found, machine = np.int64(0), np.int64(0)
    apart, last = True, data[start]
    at = start
    while at < end:
        byte = data[at]
        machine = np.int64(steps[machine, byte])
        found |= groups[machine]
        if byte <= 32 or byte == 0xC2 or byte == 38:
            wide = spaces.width(data, at, end)
            if wide > 0:
                apart = True
                at += wide % spaces.KIND
                continue
        words += apart
        apart = False
        last = byte
        characters += (byte & 0xC0) != 0x80
        if byte in (46, 33, 63):
            stops += 1
        elif byte == 44:
            commas += 1
        elif 48 <= byte <= 57:
            digits += 1
        elif 65 <= byte <= 90:
            capitals += 1
        elif byte == 0xE3 and at + 2 < end and data[at + 1] == 0x80 and (data[at + 2] == 0x82 or data[at + 2] == 0x81):
            stops += 1
        at += 1
    number = state[nesting.BLOCKS] - 1
    row = page.blocks[number]
    row[layout.CHARACTERS] += characters
    row[layout.WORDS] += words
    row[layout.STOPS] += stops
    row[layout.DIGITS] += digits
    row[layout.CAPITALS] += capitals
    row[layout.COMMAS] += commas
    row[layout.LAST_KIND] = _last_kind(last)
    page.masks[number, layout.TEXT_WORDS] |= found
    element = page.elements[row[layout.ELEMENT]]
    element[layout.OWN_CHARACTERS] += characters
    element[layout.OWN_STOPS] += stops + commas
    if linked:
        row[layout.LINK_CHARACTERS] += characters
        element[layout.OWN_LINK_CHARACTERS] += characters

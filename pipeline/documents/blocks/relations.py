"""What a block is to the rest of its page: to the title, to the headings around it, and to elements and blocks that look like its own."""

from typing import Final, NamedTuple, Self

import numpy as np

from pipeline.documents.blocks import layout, tags
from pipeline.documents.blocks.layout import Scanned
from pipeline.documents.blocks.scan import Counts
from tokenizer.compiled import Array, Boolean, Integer, compiled, compiled_inner

RELATIONS: Final = 26
"""Features of a block: four of the title, one of equal blocks, five of the headings before it, twelve of elements that look like those
around it, and four of the headings after it."""

IN_TITLE, OF_TITLE, AFTER_TITLE, CHARACTERS_AFTER_TITLE, EQUALS, HEADING_LINK = range(6)
_TWINS, _OUTER_TWINS, _NEXT_HEADING = 10, 20, 22
FOR_CONTEXT: Final = (
    *(IN_TITLE, OF_TITLE, AFTER_TITLE, CHARACTERS_AFTER_TITLE, HEADING_LINK),
    *(_OUTER_TWINS, _OUTER_TWINS + 1, _NEXT_HEADING),
)
"""Features that the second forest is told too."""

LIKE_COLUMNS: Final = 4
"""For blocks of the same look, and for blocks whose parents look alike: the mean probability of the others, and their number."""

LEVELS: Final = 5
WINDOW: Final = 5
"""Bytes of the pieces by which texts are compared, white space left out: they need no words, which not all scripts show."""

WINDOW_BITS: Final = 14
NO_TITLE_BLOCKS, NO_TITLE_CHARACTERS = -3000, -20
_HEADLINE_CHARACTERS: Final = 300
_TWIN_CHARACTERS: Final = 60
_EQUAL_CHARACTERS: Final = 8
_MIN_IN_TITLE, _MIN_OF_TITLE = 0.7, 0.15
_H1, _H6 = tags.TAG["h1"], tags.TAG["h6"]
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(20)
_WINDOW_MASK, _WINDOW_SHIFT = np.uint64((1 << 8 * WINDOW) - 1), np.uint64(64 - WINDOW_BITS)
_PRIME, _KEY_MASK = np.uint64(1_000_003), np.uint64((1 << 62) - 1)
_ELEMENT_KEY, _TEXT_KEY = np.uint64(1 << 62), np.uint64(2 << 62)
_EIGHT, _LOOK_BITS = np.uint64(8), np.uint64(31)


class Scratch(NamedTuple):
    """Zeros for one page: a table by codes (keys, counts, sums), places in it, and what is known of each block and element."""

    keys: Array
    counts: Array
    sums: Array
    places: Array
    codes: Array
    shares: Array
    twins: Array
    windows: Array

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Room for a scanned page; the table stays half empty."""
        rows = counts.blocks + counts.elements
        size = 1 << (2 * rows + 8).bit_length()
        return cls(
            np.zeros(size, np.uint64),
            np.zeros(size, np.int64),
            np.zeros((size, 2)),
            np.zeros((rows, 2), np.int64),
            np.zeros(counts.blocks, np.uint64),
            np.zeros((counts.blocks, 2)),
            np.zeros((counts.elements, 2)),
            np.zeros(1 << WINDOW_BITS, np.uint8),
        )


@compiled_inner
def _place(keys: Array, key: Integer) -> Integer:
    """The row of a code in a table, which is filled where it is new. A code is never 0."""
    mask = len(keys) - 1
    row = np.int64(key * _MIX >> _SHIFT) & mask
    while keys[row] != 0 and keys[row] != key:
        row = (row + 1) & mask
    keys[row] = key
    return row


@compiled
def describe_relations(page: Scanned, counts: Counts, scratch: Scratch, out: Array, at: Integer) -> None:
    """Write the features of the relations of each block into `out`, from a column on."""
    _describe_titles(page, counts, scratch, out, at)
    _describe_twins(page, counts, scratch, out, at)
    _describe_headings(page, counts, out, at)


@compiled_inner
def _describe_titles(page: Scanned, counts: Counts, scratch: Scratch, out: Array, at: Integer) -> None:
    """Write how far a block is the page's title and where it stands to the block that is; and how many blocks have its text."""
    blocks = page.blocks
    _compare_with_title(page, counts, scratch)
    title = _title_block(blocks, counts.blocks, scratch.shares)
    before_title = before = np.int64(0)
    for k in range(counts.blocks):
        if k < title:
            before_title += blocks[k, layout.CHARACTERS]
        row = _place(scratch.keys, scratch.codes[k] & _KEY_MASK | _TEXT_KEY)
        scratch.places[k, 0] = row
        scratch.counts[row] += 1
    for k in range(counts.blocks):
        row = out[k]
        row[at + IN_TITLE] = scratch.shares[k, 0]
        row[at + OF_TITLE] = scratch.shares[k, 1]
        row[at + AFTER_TITLE] = NO_TITLE_BLOCKS
        row[at + CHARACTERS_AFTER_TITLE] = NO_TITLE_CHARACTERS
        if title >= 0:
            apart = before - before_title
            row[at + AFTER_TITLE] = k - title
            row[at + CHARACTERS_AFTER_TITLE] = np.log1p(np.float64(abs(apart))) * (1 if apart >= 0 else -1)
        row[at + EQUALS] = scratch.counts[scratch.places[k, 0]] if blocks[k, layout.CHARACTERS] >= _EQUAL_CHARACTERS else 0
        before += blocks[k, layout.CHARACTERS]


@compiled_inner
def _compare_with_title(page: Scanned, counts: Counts, scratch: Scratch) -> None:
    """Note for each block a code of its text, its share of windows that stand in the title, and the share of the title's that it has."""
    title_windows = 1
    if counts.title_start >= 0:
        title_start, title_end = counts.title_start, counts.title_end
        _, size, _ = _windows(page.data, title_start, title_end, np.uint64(0), np.int64(0), scratch.windows, np.bool_(True))
        title_windows = max(1, size - WINDOW + 1)
    window, text = np.uint64(0), np.uint64(0)
    length: Integer = np.int64(0)
    found: Integer = np.int64(0)
    for segment in range(counts.segments):
        number, start, end = page.segments[segment, 2], np.int64(page.segments[segment, 0]), np.int64(page.segments[segment, 1])
        for k in range(start, end):
            if page.data[k] > 32:
                text = text * _PRIME + np.uint64(page.data[k])
        if page.blocks[number, layout.CHARACTERS] <= _HEADLINE_CHARACTERS:
            window, length, more = _windows(page.data, start, end, window, length, scratch.windows, np.bool_(False))
            found += more
        if segment + 1 == counts.segments or page.segments[segment + 1, 2] != number:
            scratch.codes[number] = text
            scratch.shares[number, 0] = found / max(1, length - WINDOW + 1)
            scratch.shares[number, 1] = min(1.0, found / title_windows)
            window, text = np.uint64(0), np.uint64(0)
            length = found = np.int64(0)


@compiled_inner
def _windows(
    data: Array, start: Integer, end: Integer, window: Integer, length: Integer, marks: Array, marking: Boolean
) -> tuple[Integer, Integer, Integer]:
    """Mark the windows of some bytes, or count those that are marked. Returns the last window, the text's length, and the count."""
    found = 0
    for k in range(start, end):
        byte = data[k]
        if byte <= 32:
            continue
        if 65 <= byte <= 90:
            byte += 32
        window = (window << _EIGHT | np.uint64(byte)) & _WINDOW_MASK
        length += 1
        if length >= WINDOW:
            place = np.int64(window * _MIX >> _WINDOW_SHIFT)
            if marking:
                marks[place] = 1
            else:
                found += 1 if marks[place] else 0
    return window, length, found


@compiled_inner
def _title_block(blocks: Array, count: Integer, shares: Array) -> Integer:
    """The block that is the page's title, headings first; else the first <h1>; else -1."""
    best, score = -1, 0.0
    for k in range(count):
        inside, of_title, tag = shares[k, 0], shares[k, 1], blocks[k, layout.TAG_OF]
        if inside >= _MIN_IN_TITLE and of_title >= _MIN_OF_TITLE and blocks[k, layout.CHARACTERS] >= _EQUAL_CHARACTERS:
            own = inside * of_title
            if _H1 <= tag <= _H6:
                own += 1.0 if tag == _H1 else 0.5
            if own > score + 1e-9:
                best, score = k, own
    if best < 0:
        for k in range(count):
            if blocks[k, layout.TAG_OF] == _H1:
                return k
    return best


@compiled_inner
def _describe_twins(page: Scanned, counts: Counts, scratch: Scratch, out: Array, at: Integer) -> None:
    """Write how many siblings with text look like each element around a block, and its share of their text; the outermost last."""
    elements, twins = page.elements, scratch.twins
    for k in range(1, counts.elements):
        parent, look = np.uint64(elements[k, layout.PARENT]), np.uint64(elements[k, layout.LOOK])
        row = _place(scratch.keys, parent << _LOOK_BITS | look | _ELEMENT_KEY)
        scratch.places[k, 1] = row
        characters = elements[k, layout.OWN_CHARACTERS] + elements[k, layout.ALL_CHARACTERS]
        if characters >= _TWIN_CHARACTERS:
            scratch.counts[row] += 1
            scratch.sums[row, 0] += characters
    for k in range(1, counts.elements):
        row = scratch.places[k, 1]
        characters = elements[k, layout.OWN_CHARACTERS] + elements[k, layout.ALL_CHARACTERS]
        twins[k, 0] = scratch.counts[row]
        twins[k, 1] = characters / scratch.sums[row, 0] if characters >= _TWIN_CHARACTERS else 0.0
    for k in range(counts.blocks):
        row = out[k]
        element = np.int64(page.blocks[k, layout.ELEMENT])
        row[at + _OUTER_TWINS] = row[at + _OUTER_TWINS + 1] = 0
        for level in range(LEVELS):
            row[at + _TWINS + 2 * level] = twins[element, 0]
            row[at + _TWINS + 2 * level + 1] = twins[element, 1]
            element = np.int64(elements[element, layout.PARENT])
        element = np.int64(page.blocks[k, layout.ELEMENT])
        while element > 0:
            if twins[element, 0] >= 2:
                row[at + _OUTER_TWINS] = twins[element, 0]
                row[at + _OUTER_TWINS + 1] = twins[element, 1]
            element = np.int64(elements[element, layout.PARENT])


@compiled_inner
def _describe_headings(page: Scanned, counts: Counts, out: Array, at: Integer) -> None:
    """Write whether the nearest heading is a link, how far it is and of what level, and how many there are: before a block and after."""
    count = counts.blocks
    for backwards in range(2):
        linked, apart, level = -1.0, np.int64(0), -1
        links = headings = 0
        for step in range(count):
            k = count - 1 - step if backwards else step
            block, row = page.blocks[k], out[k]
            column = at + (_NEXT_HEADING if backwards else HEADING_LINK)
            row[column] = linked
            row[column + 1] = np.log1p(np.float64(apart))
            if backwards == 0:
                row[column + 2] = level
                column += 1
            row[column + 2] = links
            row[column + 3] = headings
            apart += block[layout.CHARACTERS]
            if _H1 <= block[layout.TAG_OF] <= _H6:
                linked = block[layout.LINK_CHARACTERS] / max(1, block[layout.CHARACTERS])
                apart = np.int64(0)
                level = block[layout.TAG_OF] - _H1
                headings += 1
                links += linked > 0.8


@compiled_inner
def describe_alike(page: Scanned, count: Integer, likely: Array, scratch: Scratch, out: Array, at: Integer) -> None:
    """Write the mean probability of the other blocks that look like a block, weighed by the root of their size, and their number."""
    elements = page.elements
    for row in range(len(scratch.keys)):
        scratch.keys[row] = 0
        scratch.counts[row] = 0
        scratch.sums[row, 0] = scratch.sums[row, 1] = 0.0
    for k in range(count):
        element = page.blocks[k, layout.ELEMENT]
        parent = elements[element, layout.PARENT]
        around = elements[elements[parent, layout.PARENT], layout.LOOK]
        own = np.uint64(page.masks[k, layout.OWN_CLASSES]) * _PRIME + np.uint64(elements[element, layout.LOOK])
        above = np.uint64(elements[parent, layout.LOOK])
        weight = np.sqrt(np.float64(page.blocks[k, layout.CHARACTERS]))
        for kind in range(2):
            code = (own * _MIX + above) if kind == 0 else (above * _MIX + np.uint64(around))
            row = _place(scratch.keys, code & _KEY_MASK | (_ELEMENT_KEY if kind == 0 else _TEXT_KEY))
            scratch.places[k, kind] = row
            scratch.counts[row] += 1
            scratch.sums[row, 0] += weight * likely[k]
            scratch.sums[row, 1] += weight
    for k in range(count):
        weight = np.sqrt(np.float64(page.blocks[k, layout.CHARACTERS]))
        for kind in range(2):
            row = scratch.places[k, kind]
            others = scratch.sums[row, 1] - weight
            is_alone = scratch.counts[row] == 1 or others <= 0
            out[k, at + 2 * kind] = -1 if is_alone else (scratch.sums[row, 0] - weight * likely[k]) / others
            out[k, at + 2 * kind + 1] = scratch.counts[row]

"""Text to GPT-2's pieces, between which no merge reaches: the paper's pattern as a few comparisons a character, on UTF-8 bytes."""

import numpy as np

from tokenizer.characters import SPACE, classes
from tokenizer.compiled import Array, Integer, compiled


@compiled
def piece_end(text: Array, at: Integer, end: Integer, table: Array) -> Integer:
    """Where the piece that begins at byte `at` ends, in a text that ends at `end`.

    The pattern's alternatives in order: a contraction; an optional blank and a run of letters, of numbers, or of others; white space but
    for its last character where something follows; white space.
    """
    byte = text[at]
    if byte == 39:
        length = _contraction(text, at, end)
        if length:
            return at + length
    start = at + 1 if byte == 32 and at + 1 < end else at
    kind, width = _class_at(text, start, table)
    if kind != SPACE:
        return _run_end(text, start + width, end, table, kind)
    kind, width = _class_at(text, at, table)
    last, here = at, at + width
    while here < end:
        kind, width = _class_at(text, here, table)
        if kind != SPACE:
            return here if last == at else last
        last, here = here, here + width
    return end


@compiled
def _contraction(text: Array, at: Integer, end: Integer) -> Integer:
    """The length of 's 't 'm 'd 're 've 'll at this quote, or 0."""
    if at + 1 >= end:
        return 0
    first = text[at + 1]
    if first in (115, 116, 109, 100):
        return 2
    second = text[at + 2] if at + 2 < end else 0
    if (first in (114, 118) and second == 101) or (first == 108 and second == 108):
        return 3
    return 0


@compiled
def _run_end(text: Array, at: Integer, end: Integer, table: Array, wanted: Integer) -> Integer:
    while at < end:
        kind, width = _class_at(text, at, table)
        if kind != wanted:
            break
        at += width
    return at


@compiled
def _class_at(text: Array, at: Integer, table: Array) -> tuple[Integer, Integer]:
    """The class of the character whose UTF-8 bytes begin here, and their number."""
    first = np.int64(text[at])
    if first < 0x80:
        return table[first], 1
    if first < 0xE0:
        return table[(first & 0x1F) << 6 | (text[at + 1] & 0x3F)], 2
    if first < 0xF0:
        return table[(first & 0x0F) << 12 | (text[at + 1] & 0x3F) << 6 | (text[at + 2] & 0x3F)], 3
    high = (first & 0x07) << 18 | (text[at + 1] & 0x3F) << 12
    return table[high | (text[at + 2] & 0x3F) << 6 | (text[at + 3] & 0x3F)], 4


@compiled
def hash_of(text: Array, start: Integer, end: Integer) -> Integer:
    """A 64-bit hash of the bytes (FNV-1a, its high half folded in)."""
    value = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        value = (value ^ np.uint64(text[i])) * np.uint64(0x100000001B3)
    return value ^ (value >> np.uint64(29))


def split(text: str) -> list[str]:
    """The pieces of a text.

    >>> split("We've 2 cats.")
    ['We', "'ve", ' 2', ' cats', '.']
    """
    data = np.frombuffer(text.encode(), np.uint8)
    table = classes()
    pieces, at = [], 0
    while at < len(data):
        end = int(piece_end(data, at, len(data), table))
        pieces.append(data[at:end].tobytes().decode())
        at = end
    return pieces

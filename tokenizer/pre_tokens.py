"""Text to GPT-2's pieces, between which no merge reaches: the paper's pattern without a regex engine, on UTF-8 bytes.

Where 64 bytes lie ahead, all boundaries among them are found at once, a bit a byte, with no branch that depends on a character of ASCII; a few
comparisons a character find the end of a longer piece, and of those near the end of all text.
"""

from typing import Final

import numpy as np

from tokenizer.characters import LETTER, NUMBER, OTHER, SPACE, classes
from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers
from tokenizer.simd import WINDOW, bytes_between, lowest_bit

QUOTE, BLANK = 39, 32

NO_BOUNDARY = np.uint64(0)
"""For a first call of `next_boundary`."""

_letters = bytes_between(ord("a"), ord("z"), fold=0x20)
_digits = bytes_between(ord("0"), ord("9"))
_controls = bytes_between(9, 13)
_blanks = bytes_between(BLANK, BLANK)
_quotes = bytes_between(QUOTE, QUOTE)
_leads = bytes_between(0xC0, 0xFF)

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_SURE: Final = WINDOW - 4
_SURE_BITS = np.uint64((1 << _SURE + 1) - 1)
"""Up to bit 60 no boundary hangs on a character that begins behind the window: white space and contractions have three bytes at most."""


@compiled
def next_boundary(
    text: Array, at: Integer, end: Integer, table: Array, window: Integer, boundaries: Integer
) -> tuple[Integer, Integer, Integer]:
    """Where the piece that begins at byte `at` ends, in a text that ends at `end`; and `window` and `boundaries` for the next call.

    Those are where the bytes looked at together begin, and a bit for each boundary found and not told yet.
    """
    if boundaries == NO_BOUNDARY:
        window, boundaries = at, _boundaries(text, at, end, table)
        if boundaries == NO_BOUNDARY:
            return pre_token_end(text, at, end, table), window, boundaries
    return window + lowest_bit(boundaries), window, boundaries & (boundaries - _ONE)


@compiled
def _boundaries(text: Array, at: Integer, end: Integer, table: Array) -> Integer:
    """The boundaries between the pieces of the 64 bytes from a boundary on, that one left out: bit i is the boundary before byte `at + i`.

    No bit where the array has fewer bytes left, those of later texts included, or where no boundary is sure.
    """
    if at + WINDOW > len(text):
        return NO_BOUNDARY
    letters, numbers, white, last_white = _kinds(text, at, end, table)
    others = ~(letters | numbers | white)
    first_of_run = (letters & ~(letters << _ONE)) | (numbers & ~(numbers << _ONE)) | (others & ~(others << _ONE))
    first_white = white & ~(white << _ONE)
    boundaries = (first_of_run & ~(_blanks(text, at) << _ONE)) | first_white | last_white
    quotes = _quotes(text, at) & (boundaries | _ONE) & _SURE_BITS
    while quotes:
        i = lowest_bit(quotes)
        quotes &= quotes - _ONE
        length = _contraction(text, at + i, end)
        if length:
            after = _ONE << np.uint64(i + length)
            boundaries = (boundaries & ~(after - (_TWO << np.uint64(i)))) | after
    if end - at <= _SURE:
        the_end = _ONE << np.uint64(end - at)
        boundaries = (boundaries & (the_end - _ONE)) | the_end
    return boundaries & _SURE_BITS & ~_ONE


@compiled
def _kinds(text: Array, at: Integer, end: Integer, table: Array) -> tuple[Integer, Integer, Integer, Integer]:
    """The bytes of letters, of numbers, of white space, and the first byte of each white character that something else follows.

    What lies behind the text's end counts as white: the last white character of a text is no piece apart.
    """
    narrow = _blanks(text, at) | _controls(text, at)
    letters, numbers, white = _letters(text, at), _digits(text, at), narrow
    of_two = of_three = np.uint64(0)
    leads = _leads(text, at)
    while leads:
        i = np.uint64(lowest_bit(leads))
        leads &= leads - _ONE
        kind, width = _class_at(text, at + np.int64(i), table)
        character = ((_ONE << np.uint64(width)) - _ONE) << i
        letters |= character * np.uint64(kind == LETTER)
        numbers |= character * np.uint64(kind == NUMBER)
        white |= character * np.uint64(kind == SPACE)
        of_two |= np.uint64(kind == SPACE and width == 2) << i
        of_three |= np.uint64(kind == SPACE and width == 3) << i
    if end - at < WINDOW:
        inside = (_ONE << np.uint64(end - at)) - _ONE
        letters, numbers, white = letters & inside, numbers & inside, white | ~inside
    return letters, numbers, white, (narrow & ~(white >> _ONE)) | (of_two & ~(white >> _TWO)) | (of_three & ~(white >> _THREE))


@compiled
def pre_token_end(text: Array, at: Integer, end: Integer, table: Array) -> Integer:
    """The same a character at a time.

    The pattern's alternatives in order: a contraction; an optional blank and a run of letters, of numbers, or of others; white space but
    for its last character where something follows; white space.
    """
    byte = text[at]
    if byte == QUOTE:
        length = _contraction(text, at, end)
        if length:
            return at + length
    start = at + 1 if byte == BLANK and at + 1 < end else at
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
    return min(at, end)


@compiled
def _class_at(text: Array, at: Integer, table: Array) -> tuple[Integer, Integer]:
    """The class of the character whose UTF-8 bytes begin here, and their number. A byte that begins none, or lacks others, is alone."""
    first = np.int64(text[at])
    if first < 0x80:
        return table[first], 1
    if first < 0xC0 or at + 1 + (first >= 0xE0) + (first >= 0xF0) >= len(text):
        return OTHER, 1
    if first < 0xE0:
        return table[(first & 0x1F) << 6 | (text[at + 1] & 0x3F)], 2
    if first < 0xF0:
        return table[(first & 0x0F) << 12 | (text[at + 1] & 0x3F) << 6 | (text[at + 2] & 0x3F)], 3
    high = (first & 0x07) << 18 | (text[at + 1] & 0x3F) << 12
    return table[high | (text[at + 2] & 0x3F) << 6 | (text[at + 3] & 0x3F)], 4


@compiled_into_callers
def hash_of(text: Array, start: Integer, end: Integer) -> Integer:
    """A 64-bit hash of the bytes (FNV-1a, its high half folded in)."""
    value = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        value = (value ^ np.uint64(text[i])) * np.uint64(0x100000001B3)
    return value ^ (value >> np.uint64(29))


def pre_tokenize(text: str) -> list[str]:
    """The pieces of a text.

    >>> pre_tokenize("We've 2 cats.")
    ['We', "'ve", ' 2', ' cats', '.']
    """
    data = text.encode()
    padded = np.frombuffer(data + bytes(WINDOW), np.uint8)
    pieces, at, window, boundaries = [], 0, 0, NO_BOUNDARY
    while at < len(data):
        end, window, bits = next_boundary(padded, at, len(data), classes(), window, boundaries)
        boundaries = np.uint64(bits)
        pieces.append(data[at:end].decode())
        at = end
    return pieces

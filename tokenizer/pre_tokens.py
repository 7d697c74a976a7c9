"""Splits text into GPT-2's pre-tokens, whose boundaries no merge crosses.

It implements the paper's pattern on UTF-8 bytes, without a regex engine. Where at least 64 bytes lie ahead, all boundaries among
them are found at once, as one bit per byte, with no branch that depends on an ASCII character. For longer pre-tokens and near the
end of the array, a slower loop finds each end one character at a time.
"""

from typing import Final

import numpy as np

from tokenizer.characters import LETTER, NUMBER, OTHER, SPACE, classes
from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers
from tokenizer.simd import WINDOW, bytes_between, lowest_bit

_QUOTE, _BLANK = 39, 32

NO_BOUNDARY = np.uint64(0)
"""Value of `boundaries` for the first call of `next_boundary`."""

_letters = bytes_between(ord("a"), ord("z"), fold=0x20)
_digits = bytes_between(ord("0"), ord("9"))
_controls = bytes_between(9, 13)
_blanks = bytes_between(_BLANK, _BLANK)
_quotes = bytes_between(_QUOTE, _QUOTE)
_leads = bytes_between(0xC0, 0xFF)

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_CERTAIN: Final = WINDOW - 4
_CERTAIN_BITS = np.uint64((1 << _CERTAIN + 1) - 1)
"""Up to bit 60, no boundary depends on a character beyond the window: white space and contractions have at most three bytes."""


@compiled
def next_boundary(
    text: Array, at: Integer, end: Integer, table: Array, window: Integer, boundaries: Integer
) -> tuple[Integer, Integer, Integer]:
    """Where the pre-token that begins at byte `at` of a text ends, then `window` and `boundaries` for the next call.

    `end` is the text's end. `window` is where the 64 bytes begin that were examined together. `boundaries` has a bit for each
    boundary in them not yet returned.
    """
    if boundaries == NO_BOUNDARY:
        window, boundaries = at, _boundaries(text, at, end, table)
        if boundaries == NO_BOUNDARY:
            return pre_token_end(text, at, end, table), window, boundaries
    return window + lowest_bit(boundaries), window, boundaries & (boundaries - _ONE)


@compiled
def _boundaries(text: Array, at: Integer, end: Integer, table: Array) -> Integer:
    """The boundaries among the 64 bytes from the boundary `at` on, without `at` itself; bit i is the one before byte `at + i`.

    No bit is set where the array (later texts included) has fewer bytes left, or where no boundary is certain.
    """
    if at + WINDOW > len(text):
        return NO_BOUNDARY
    letters, numbers, white, last_white = _kinds(text, at, end, table)
    others = ~(letters | numbers | white)
    first_of_run = (letters & ~(letters << _ONE)) | (numbers & ~(numbers << _ONE)) | (others & ~(others << _ONE))
    first_white = white & ~(white << _ONE)
    boundaries = (first_of_run & ~(_blanks(text, at) << _ONE)) | first_white | last_white
    quotes = _quotes(text, at) & (boundaries | _ONE) & _CERTAIN_BITS
    while quotes:
        i = lowest_bit(quotes)
        quotes &= quotes - _ONE
        length = _contraction(text, at + i, end)
        if length:
            after = _ONE << np.uint64(i + length)
            boundaries = (boundaries & ~(after - (_TWO << np.uint64(i)))) | after
    if end - at <= _CERTAIN:
        the_end = _ONE << np.uint64(end - at)
        boundaries = (boundaries & (the_end - _ONE)) | the_end
    return boundaries & _CERTAIN_BITS & ~_ONE


@compiled
def _kinds(text: Array, at: Integer, end: Integer, table: Array) -> tuple[Integer, Integer, Integer, Integer]:
    """Masks of the bytes of letters, numbers and white space, and of the first byte of white characters before a non-white one.

    Bytes beyond the text's end count as white, because a text's last white character is not a pre-token of its own.
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
    """Where the pre-token that begins at byte `at` ends, found one character at a time.

    The pattern's alternatives, in order: a contraction; an optional blank and a run of letters, numbers or other characters;
    white space except its last character, where a non-white character follows; white space.
    """
    byte = text[at]
    if byte == _QUOTE:
        length = _contraction(text, at, end)
        if length:
            return at + length
    start = at + 1 if byte == _BLANK and at + 1 < end else at
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
    """Length of the contraction ('s 't 'm 'd 're 've 'll) at this quote, or 0."""
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
def _run_end(text: Array, at: Integer, end: Integer, table: Array, run_kind: Integer) -> Integer:
    while at < end:
        kind, width = _class_at(text, at, table)
        if kind != run_kind:
            break
        at += width
    return min(at, end)


@compiled
def _class_at(text: Array, at: Integer, table: Array) -> tuple[Integer, Integer]:
    """Class and byte length of the character at `at`. A byte that begins no whole UTF-8 character is OTHER, of length 1."""
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
    """A 64-bit hash of the bytes: FNV-1a with its high half folded in."""
    value = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        value = (value ^ np.uint64(text[i])) * np.uint64(0x100000001B3)
    return value ^ (value >> np.uint64(29))


def pre_tokenize(text: str) -> list[str]:
    """The pre-tokens of a text.

    >>> pre_tokenize("We've 2 cats.")
    ['We', "'ve", ' 2', ' cats', '.']
    """
    data = text.encode()
    padded = np.frombuffer(data + bytes(WINDOW), np.uint8)
    pre_tokens, at, window, boundaries = [], 0, 0, NO_BOUNDARY
    while at < len(data):
        end, window, bits = next_boundary(padded, at, len(data), classes(), window, boundaries)
        boundaries = np.uint64(bits)
        pre_tokens.append(data[at:end].decode())
        at = end
    return pre_tokens

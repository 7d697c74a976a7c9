"""White space in a page's source."""

from typing import Final

import numpy as np

from tokenizer.compiled import Array, Integer, compiled_inner

_NBSP: Final = np.frombuffer(b"nbsp;", np.uint8)
HARD_SPACE: Final = 100
"""Added to the width of a no-break space, which a browser does not collapse."""

_LONGEST_REFERENCE: Final = 9


@compiled_inner
def width(data: Array, at: Integer, end: Integer) -> Integer:
    """The bytes of the white space at an offset; 0 where there is none. For a no-break space, HARD_SPACE more.

    It may be written as itself, as `&nbsp;` or as a number.
    """
    byte = data[at]
    if byte <= 32:
        return np.int64(1)
    if byte == 0xC2:
        return np.int64(HARD_SPACE + 2) if at + 1 < end and data[at + 1] == 0xA0 else np.int64(0)
    if byte != 38 or at + 2 >= end:
        return np.int64(0)
    if data[at + 1] == 35:
        return _reference_width(data, at, end)
    if at + 5 > end:
        return np.int64(0)
    for k in range(4):
        if data[at + 1 + k] != _NBSP[k]:
            return np.int64(0)
    return np.int64(HARD_SPACE + (6 if at + 5 < end and data[at + 5] == 59 else 5))


@compiled_inner
def _reference_width(data: Array, at: Integer, end: Integer) -> Integer:
    """What `width` returns for a character reference by number, such as `&#160;`, that begins at `at`."""
    k = at + 2
    base = 10
    if data[k] | 32 == 120:
        base = 16
        k += 1
    number = 0
    digits = k
    while k < end and k < at + _LONGEST_REFERENCE:
        byte = data[k]
        if 48 <= byte <= 57:
            number = number * base + byte - 48
        elif base == 16 and 97 <= byte | 32 <= 102:
            number = number * base + (byte | 32) - 87
        else:
            break
        k += 1
    if k == digits:
        return np.int64(0)
    size = k - at + (1 if k < end and data[k] == 59 else 0)
    if number == 160:
        return np.int64(HARD_SPACE + size)
    return np.int64(size) if number in (9, 10, 12, 13, 32) else np.int64(0)

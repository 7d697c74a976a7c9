"""White space in a page's source."""

from typing import Final

import numpy as np

from tokenizer.compiled import Array, Integer, compiled_inner

_NBSP, _HARD, _TAB, _LINE = (np.frombuffer(name, np.uint8) for name in (b"nbsp", b"NonBreakingSpace;", b"Tab;", b"NewLine;"))
HARD_SPACE, LINE_END, KIND = 200, 100, 100
"""Added to the width of a no-break space, which a browser does not collapse, and of an end of a line; a width is below KIND without."""

_LONGEST_REFERENCE: Final = 9
"""Bytes of a reference by number, leading zeros left out."""

_MOST_ZEROS: Final = 60
"""Leading zeros that are read: a width stays below KIND."""


@compiled_inner
def width(data: Array, at: Integer, end: Integer) -> Integer:
    """The bytes of the white space at an offset; 0 where there is none. For an end of a line, LINE_END more; for a no-break space,
    HARD_SPACE more.

    It may be written as itself, by a name such as `&nbsp;`, or as a number.
    """
    byte = data[at]
    if byte <= 32:
        return np.int64(1 + LINE_END if byte == 10 or byte == 13 else 1)
    if byte == 0xC2:
        return np.int64(HARD_SPACE + 2) if at + 1 < end and data[at + 1] == 0xA0 else np.int64(0)
    if byte != 38 or at + 2 >= end:
        return np.int64(0)
    if data[at + 1] == 35:
        return _reference_width(data, at, end)
    if _is_name(data, at + 1, end, _NBSP):
        return np.int64(HARD_SPACE + (6 if at + 5 < end and data[at + 5] == 59 else 5))
    if _is_name(data, at + 1, end, _HARD):
        return np.int64(HARD_SPACE + 1 + len(_HARD))
    if _is_name(data, at + 1, end, _TAB):
        return np.int64(1 + len(_TAB))
    return np.int64(LINE_END + 1 + len(_LINE)) if _is_name(data, at + 1, end, _LINE) else np.int64(0)


@compiled_inner
def _is_name(data: Array, at: Integer, end: Integer, name: Array) -> bool:
    """Whether a name stands at an offset, in its own case: names of character references have one."""
    if at + len(name) > end:
        return False
    for k in range(len(name)):  # noqa: SIM110 (compiled)
        if data[at + k] != name[k]:
            return False
    return True


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
    while k < end and k < digits + _MOST_ZEROS and data[k] == 48:
        k += 1
    longest = k + _LONGEST_REFERENCE
    while k < end and k < longest:
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
    if number in (10, 13):
        return np.int64(LINE_END + size)
    return np.int64(size) if number in (9, 12, 32) else np.int64(0)

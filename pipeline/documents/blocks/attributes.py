"""Reading a start tag's attributes: what the scan must know of them, in one compiled pass."""

from typing import Final

import numpy as np

from pipeline.documents.blocks.white_space_style import is_word, white_space
from pipeline.documents.blocks.word_groups import FORMULA_PICTURE, HIDDEN, NOT_SHOWN
from tokenizer.compiled import Array, Integer, compiled_inner

AFTER, MASK, IS_LINK, SELF_CLOSED, SPACE, IS_FORMULA, ALT_START, ALT_END, CELLS = range(9)
"""Cells of the result: the offset after the tag, groups of class words with what is hidden, whether it leads to another page, whether it
ends in '/>', what its style says of white space, whether it is a formula's script or picture, and the bytes of its alternative text."""

_CLASS, _ID, _ROLE, _ITEMPROP, _STYLE, _HIDDEN, _ARIA, _HREF = (
    np.frombuffer(name, np.uint8)
    for name in (b"class", b"id", b"role", b"itemprop", b"style", b"hidden", b"aria-hidden", b"href")
)
_NONE, _TRUE, _SCRIPT, _UNTIL_FOUND = (
    np.frombuffer(word, np.uint8) for word in (b"none", b"true", b"javascript:", b"until-found")
)
_TYPE, _ALT, _SRC = (np.frombuffer(name, np.uint8) for name in (b"type", b"alt", b"src"))
_MATH_TEX, _MATH_ASCII, _MATHJAX = (np.frombuffer(word, np.uint8) for word in (b"math/tex", b"math/asciimath", b"mathjax"))
_LATEX, _MATHTEX, _MIMETEX, _CODECOGS, _MWE, _TEX = (
    np.frombuffer(word, np.uint8) for word in (b"latex", b"mathtex", b"mimetex", b"codecogs", b"mwe-math", b"tex")
)
_DISPLAY: Final = np.frombuffer(b"display", np.uint8)
_HASH: Final = 35


@compiled_inner
def _is_name(data: Array, start: Integer, end: Integer, word: Array) -> bool:
    return end - start == len(word) and is_word(data, start, end, word)


@compiled_inner
def _says(data: Array, start: Integer, end: Integer, name: Array, word: Array) -> bool:
    """Whether a style's property `name` has a value that begins with `word`."""
    at = start
    while at + len(name) < end:
        if is_word(data, at, end, name):
            k = at + len(name)
            while k < end and (data[k] <= 32 or data[k] == 58):
                k += 1
            if is_word(data, k, end, word):
                return True
            at = k
        at += 1
    return False


@compiled_inner
def _leads_away(data: Array, start: Integer, end: Integer, address: Array) -> bool:
    """Whether an href leads elsewhere: not to a place of this page, and to no script. A mere '#' is a button's."""
    while start < end and data[start] <= 32:
        start += 1
    if start >= end or (data[start] == _HASH and start + 1 < end) or is_word(data, start, end, _SCRIPT):
        return False
    at = start
    while at < end and data[at] != _HASH:
        at += 1
    size = at - start
    if at == end or size == 0 or size > len(address):
        return True
    for k in range(size):  # noqa: SIM110 (compiled)
        if address[len(address) - size + k] != data[start + k]:
            return True
    return False


@compiled_inner
def read(  # noqa: C901 (the states of HTML's tokenizer)
    data: Array, at: Integer, address: Array, steps: Array, found: Array, closing: bool, result: Array
) -> None:
    """Read attributes from the offset after a tag's name to its '>'. `address` is the page's URL without its fragment."""
    size = len(data)
    mask = np.int64(0)
    for cell in range(CELLS):
        result[cell] = 0
    while at < size and data[at] != 62:
        slash = False
        while at < size and (data[at] <= 32 or data[at] == 47):
            slash = data[at] == 47
            at += 1
        if at >= size or data[at] == 62:
            result[SELF_CLOSED] = slash
            break
        start = at
        while at < size and data[at] > 32 and (data[at] != 61 or at == start) and data[at] != 62 and data[at] != 47:
            at += 1
        end = at
        while at < size and data[at] <= 32:
            at += 1
        first = last = np.int64(0)
        if at < size and data[at] == 61:
            at += 1
            while at < size and data[at] <= 32:
                at += 1
            if at < size and (data[at] == 34 or data[at] == 39):
                quote = data[at]
                at += 1
                first = at
                while at < size and data[at] != quote:
                    at += 1
                last = at
                at += 1
            else:
                first = at
                while at < size and data[at] > 32 and data[at] != 62:
                    at += 1
                last = at
        if not closing:
            mask |= _meaning(data, start, end, first, last, address, steps, found, result)
    result[AFTER] = min(at + 1, size)
    result[MASK] = mask


@compiled_inner
def _meaning(  # noqa: C901, PLR0913 (one attribute, by its name)
    data: Array,
    start: Integer,
    end: Integer,
    first: Integer,
    last: Integer,
    address: Array,
    steps: Array,
    found: Array,
    result: Array,
) -> Integer:
    """What one attribute adds to the mask; sets cells of the result."""
    mask = np.int64(0)
    if (
        _is_name(data, start, end, _CLASS)
        or _is_name(data, start, end, _ID)
        or _is_name(data, start, end, _ROLE)
        or _is_name(data, start, end, _ITEMPROP)
    ):
        state = np.int64(0)
        for k in range(first, last):
            state = np.int64(steps[state, data[k]])
            mask |= found[state]
        if _is_name(data, first, last, _MATHJAX):
            mask |= np.int64(FORMULA_PICTURE)
        if _names_formula(data, first, last):
            result[IS_FORMULA] = 1
    elif _is_name(data, start, end, _STYLE):
        if _says(data, first, last, _DISPLAY, _NONE):
            mask |= np.int64(HIDDEN | NOT_SHOWN)
        result[SPACE] = white_space(data, first, last)
    elif _is_name(data, start, end, _HIDDEN):
        if not is_word(data, first, last, _UNTIL_FOUND):
            mask |= np.int64(HIDDEN | NOT_SHOWN)
    elif _is_name(data, start, end, _ARIA):
        if is_word(data, first, last, _TRUE):
            mask |= np.int64(HIDDEN)
    elif _is_name(data, start, end, _HREF):
        result[IS_LINK] = _leads_away(data, first, last, address)
    elif _is_name(data, start, end, _TYPE):
        if is_word(data, first, last, _MATH_TEX) or is_word(data, first, last, _MATH_ASCII):
            result[IS_FORMULA] = 1
    elif _is_name(data, start, end, _SRC):
        if _names_formula(data, first, last):
            result[IS_FORMULA] = 1
    elif _is_name(data, start, end, _ALT):
        result[ALT_START], result[ALT_END] = first, last
        if _is_tex(data, first, last):
            result[IS_FORMULA] = 1
    return mask


@compiled_inner
def _names_formula(data: Array, start: Integer, end: Integer) -> bool:
    """Whether a class or an address is one of those that pictures of formulas have."""
    if _is_name(data, start, end, _TEX):
        return True
    for at in range(start, end - 4):
        byte = data[at] | 32
        if (byte == 108 and is_word(data, at, end, _LATEX)) or (byte == 99 and is_word(data, at, end, _CODECOGS)):
            return True
        if byte == 109 and (is_word(data, at, end, _MATHTEX) or is_word(data, at, end, _MIMETEX) or is_word(data, at, end, _MWE)):
            return True
    return False


@compiled_inner
def _is_tex(data: Array, start: Integer, end: Integer) -> bool:
    """Whether an alternative text holds a command of TeX: a backslash and two letters, but no path of a file."""
    for at in range(start, end - 2):
        if data[at] == 92 and 97 <= data[at + 1] | 32 <= 122 and 97 <= data[at + 2] | 32 <= 122:
            return bool(at == start or data[at - 1] != 58)
    return False

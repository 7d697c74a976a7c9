"""What a style attribute says of white space: the property `white-space`, and `white-space-collapse` that it stands for."""

from typing import Final

import numpy as np

from pipeline.documents.blocks import layout
from tokenizer.compiled import Array, Integer, compiled_inner

UNSAID, COLLAPSES, KEEPS, KEEPS_LINES = range(4)
"""Cells of a style's answer: nothing, so that the element is as the one around it; otherwise one more than layout.COLLAPSED, KEPT and
KEPT_LINES."""

assert (COLLAPSES - 1, KEEPS - 1, KEEPS_LINES - 1) == (layout.COLLAPSED, layout.KEPT, layout.KEPT_LINES)

_PROPERTY, _COLLAPSE = np.frombuffer(b"white-space", np.uint8), np.frombuffer(b"-collapse", np.uint8)
_VALUES: Final = (
    (COLLAPSES, "normal nowrap collapse initial preserve-spaces"),
    (KEEPS, "pre pre-wrap preserve break-spaces"),
    (KEEPS_LINES, "pre-line preserve-breaks"),
    (UNSAID, "wrap inherit unset revert revert-layer"),
)
_WORDS: Final = np.frombuffer(" ".join(words for _, words in _VALUES).encode() + b" ", np.uint8)
_MEANINGS: Final = np.array([meaning for meaning, words in _VALUES for _ in words.split()], np.int64)
_UNKNOWN: Final = -1
_BANG, _SLASH, _STAR, _COLON, _SEMICOLON = 33, 47, 42, 58, 59


@compiled_inner
def is_word(data: Array, start: Integer, end: Integer, word: Array) -> bool:
    """Whether `data[start:end]` begins with a lower-case ASCII word, in any case."""
    if start + len(word) > end:
        return False
    for k in range(len(word)):
        byte = data[start + k]
        if 65 <= byte <= 90:
            byte += 32
        if byte != word[k]:
            return False
    return True


@compiled_inner
def white_space(data: Array, at: Integer, end: Integer) -> Integer:
    """What the declarations in `data[at:end]` say of white space: the last that a browser knows, an important one before others."""
    said, is_important = np.int64(UNSAID), False
    while at < end:
        at = _after_spaces(data, at, end)
        start = at
        while at < end and data[at] != _SEMICOLON:
            at += 1
        value = _value_start(data, start, at)
        if value < at:
            last = value
            while last < at and data[last] != _BANG:
                last += 1
            meaning = _meaning(data, value, last)
            if meaning != _UNKNOWN and (last < at or not is_important):
                said, is_important = meaning, last < at
        at += 1
    return said


@compiled_inner
def _after_spaces(data: Array, at: Integer, end: Integer) -> Integer:
    """The offset after white space and comments."""
    while at < end and (data[at] <= 32 or (data[at] == _SLASH and at + 1 < end and data[at + 1] == _STAR)):
        if data[at] == _SLASH:
            at += 2
            while at + 1 < end and not (data[at] == _STAR and data[at + 1] == _SLASH):
                at += 1
            at += 1
        at += 1
    return min(at, end)


@compiled_inner
def _value_start(data: Array, at: Integer, end: Integer) -> Integer:
    """The offset of a declaration's value where its property is of white space; `end` where it is of something else."""
    if not is_word(data, at, end, _PROPERTY):
        return end
    at += len(_PROPERTY)
    if is_word(data, at, end, _COLLAPSE):
        at += len(_COLLAPSE)
    at = _after_spaces(data, at, end)
    return at + 1 if at < end and data[at] == _COLON else end


@compiled_inner
def _meaning(data: Array, at: Integer, end: Integer) -> Integer:
    """What a value's words say together; _UNKNOWN where one of them is unknown to browsers, or there is none."""
    said = np.int64(_UNKNOWN)
    at = _after_spaces(data, at, end)
    while at < end:
        start = at
        while at < end and data[at] > 32 and data[at] != _SLASH:
            at += 1
        meaning = _meaning_of_word(data, start, at)
        if meaning == _UNKNOWN:
            return meaning
        said = max(said, meaning)
        at = _after_spaces(data, at, end)
    return said


@compiled_inner
def _meaning_of_word(data: Array, start: Integer, end: Integer) -> Integer:
    number = at = 0
    while at < len(_WORDS):
        length = 0
        while _WORDS[at + length] != 32:
            length += 1
        if length == end - start and is_word(data, start, end, _WORDS[at : at + length]):
            return _MEANINGS[number]
        number += 1
        at += length + 1
    return np.int64(_UNKNOWN)

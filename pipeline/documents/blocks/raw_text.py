"""The ends of comments and of elements whose content is no markup."""

import numpy as np

from pipeline.documents.blocks.tags import mixed
from tokenizer.compiled import Array, Integer, compiled_inner

_LESS, _GREATER, _SLASH, _DASH, _BANG = 60, 62, 47, 45, 33


@compiled_inner
def after_comment(data: Array, at: Integer) -> Integer:
    """The offset after a comment, declaration or other '<!' or '<?' at an offset."""
    size = len(data)
    if at + 3 < size and data[at + 1] == _BANG and data[at + 2] == _DASH and data[at + 3] == _DASH:
        k = at + 4
        if k < size and data[k] == _GREATER:
            return k + 1
        if k + 1 < size and data[k] == _DASH and data[k + 1] == _GREATER:
            return k + 2
        while k + 2 < size:
            if data[k] == _DASH and data[k + 1] == _DASH:
                if data[k + 2] == _GREATER:
                    return k + 3
                if data[k + 2] == _BANG and k + 3 < size and data[k + 3] == _GREATER:
                    return k + 4
            k += 1
        return size
    return after_end_tag(data, at + 1)


@compiled_inner
def after_end_tag(data: Array, at: Integer) -> Integer:
    """The offset after the next '>'."""
    size = len(data)
    while at < size and data[at] != _GREATER:
        at += 1
    return min(at + 1, size)


@compiled_inner
def _is_tag(data: Array, at: Integer, code: Integer, length: Integer) -> bool:
    """Whether the name at an offset has the code, and ends as names do."""
    end = at + length
    if end >= len(data):
        return False
    name = np.uint64(0)
    for k in range(at, end):
        name = mixed(name, data[k])
    return bool(name == code and (data[end] <= 32 or data[end] == _GREATER or data[end] == _SLASH))


@compiled_inner
def raw_end(data: Array, at: Integer, code: Integer, length: Integer) -> Integer:
    """The offset of the end tag of a raw element whose content starts at an offset; the size of the page where there is none."""
    size = len(data)
    while at < size:
        if data[at] == _LESS and at + 1 < size and data[at + 1] == _SLASH and _is_tag(data, at + 2, code, length):
            return at
        at += 1
    return at


@compiled_inner
def starts_again(data: Array, at: Integer, end: Integer, code: Integer, length: Integer) -> bool:
    """Whether a start tag of the same name stands before an offset."""
    while at < end:
        if data[at] == _LESS and _is_tag(data, at + 1, code, length):
            return True
        at += 1
    return False

"""Reads the tokens of many mapped shards as one sequence, by position: one window at a time, or many at once."""

from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers
from tokenizer.shards import Shard
from tokenizer.simd import number_at

Positions = npt.NDArray[np.int64]

ALL: Final = -1
"""Returned by `_read_all` where every window lies inside the stream."""

_token, _number = number_at(16), number_at(64)


class Stream:
    """The tokens of many shards as one sequence, read by position. Its length is the number of tokens."""

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        spans = [batch.tokens for shard in shards for batch in shard.batches]
        bounds = list(accumulate(map(len, spans), initial=0))
        self._spans = len(spans)
        self._tokens = bounds[-1]
        self._table = np.array([*bounds, *(span.ctypes.data for span in spans)], np.int64)
        """Where each span begins, the end of the last, then each span's address; `shards` keeps the memory there mapped."""
        self._at = self._table.ctypes.data

    def __len__(self) -> int:
        return self._tokens

    def read(self, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` (one dimension, any integer type) with the tokens from `start` on. Raises IndexError beyond either end."""
        if not _read(self._at, self._spans, start, out):
            raise IndexError(self._outside_message(start, len(out)))

    def windows(self, starts: Positions, length: int) -> npt.NDArray[np.int64]:
        """The `length` tokens from each position on, of shape (len(starts), length). Raises IndexError beyond either end."""
        windows = np.empty((len(starts), length), np.int64)
        outside = _read_all(self._at, self._spans, starts, windows)
        if outside != ALL:
            raise IndexError(self._outside_message(int(starts[outside]), length))
        return windows

    def _outside_message(self, start: int, length: int) -> str:
        return f"tokens {start} to {start + length}: the stream holds {len(self)}"


@compiled_into_callers
def _fill(table: Integer, spans: Integer, start: Integer, out: Array) -> bool:
    """Fill `out` with the tokens from `start` on, span by span. Copies nothing and returns False unless all are inside."""
    length = len(out)
    if start < 0 or start > _number(table, spans) - length:
        return False
    low, high = 0, spans  # the last span that begins at or before `start`: it is not empty
    while high - low > 1:
        middle = (low + high) >> 1
        if _number(table, middle) <= start:
            low = middle
        else:
            high = middle
    size = 0
    while size < length:
        inside = start + size - _number(table, low)
        tokens = min(length - size, _number(table, low + 1) - start - size)
        span = _number(table, spans + 1 + low) + 2 * inside
        row = out[size : size + tokens]
        for i in range(tokens):
            row[i] = _token(span, i)
        size += tokens
        low += 1
    return True


@compiled
def _read(table: Integer, spans: Integer, start: Integer, out: Array) -> bool:
    return _fill(table, spans, start, out)


@compiled
def _read_all(table: Integer, spans: Integer, starts: Array, out: Array) -> int:
    """Fill each row of `out`; returns the index of the first start whose window lies outside, or ALL."""
    for row in range(len(starts)):
        if not _fill(table, spans, starts[row], out[row]):
            return row
    return ALL

"""The tokens of many mapped shards as one sequence, read by position: a window at a time, or many at once."""

from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers
from tokenizer.shards import Shard
from tokenizer.simd import number_at

Positions = npt.NDArray[np.int64]

ALL: Final = -1
"""What `_read_all` returns where no window lies outside."""

_token, _number = number_at(16), number_at(64)


class Stream:
    """The tokens of many shards as one sequence: `len` of them, read by position."""

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        pieces = [batch.tokens for shard in shards for batch in shard.batches]
        borders = list(accumulate(map(len, pieces), initial=0))
        self._pieces = len(pieces)
        self._tokens = borders[-1]
        self._table = np.array([*borders, *(piece.ctypes.data for piece in pieces)], np.int64)
        """The position at which each piece begins, the end of the last, the address of each: the shards keep what stands there."""
        self._at = self._table.ctypes.data

    def __len__(self) -> int:
        return self._tokens

    def read(self, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` (of one dimension, of any integer type) with the tokens from `start` on. Raises IndexError beyond the end."""
        if not _read(self._at, self._pieces, start, out):
            raise IndexError(self._beyond(start, len(out)))

    def windows(self, starts: Positions, length: int) -> npt.NDArray[np.int64]:
        """The `length` tokens from each position on, of shape (len(starts), length). Raises IndexError beyond the end."""
        windows = np.empty((len(starts), length), np.int64)
        outside = _read_all(self._at, self._pieces, starts, windows)
        if outside != ALL:
            raise IndexError(self._beyond(int(starts[outside]), length))
        return windows

    def _beyond(self, start: int, wanted: int) -> str:
        return f"tokens {start} to {start + wanted}: the stream holds {len(self)}"


@compiled_into_callers
def _fill(table: Integer, pieces: Integer, start: Integer, out: Array) -> bool:
    """Copy to `out` what stands from `start` on, piece by piece; False, and nothing copied, where not all of it is there."""
    wanted = len(out)
    if start < 0 or start > _number(table, pieces) - wanted:
        return False
    low, high = 0, pieces  # the last piece that begins at or before `start`, and has tokens
    while high - low > 1:
        middle = (low + high) >> 1
        if _number(table, middle) <= start:
            low = middle
        else:
            high = middle
    filled = 0
    while filled < wanted:
        inside = start + filled - _number(table, low)
        tokens = min(wanted - filled, _number(table, low + 1) - start - filled)
        piece = _number(table, pieces + 1 + low) + 2 * inside
        row = out[filled : filled + tokens]
        for i in range(tokens):
            row[i] = _token(piece, i)
        filled += tokens
        low += 1
    return True


@compiled
def _read(table: Integer, pieces: Integer, start: Integer, out: Array) -> bool:
    return _fill(table, pieces, start, out)


@compiled
def _read_all(table: Integer, pieces: Integer, starts: Array, out: Array) -> int:
    """Fill each row of `out`; which start was the first to lie outside, or ALL."""
    for row in range(len(starts)):
        if not _fill(table, pieces, starts[row], out[row]):
            return row
    return ALL

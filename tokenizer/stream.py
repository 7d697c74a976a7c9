"""The tokens of many mapped shards as one sequence, read by position: a window at a time, or many at once."""

import ctypes
from bisect import bisect_right
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.shards import Shard, Tokens

Positions = npt.NDArray[np.int64]
NOWHERE = np.iinfo(np.int64).min


class Stream:
    """The tokens of many shards as one sequence: `len` of them, read by position."""

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        self._pieces = [batch.tokens for shard in shards for batch in shard.batches]
        self._starts = [0, *accumulate(len(piece) for piece in self._pieces)]
        self._borders = np.array(self._starts)
        self._memory, places = _addressed(self._pieces)
        # by how many pieces begin at or before a position: none holds one before the first or after the last
        self._limits = np.array([NOWHERE, *self._starts[1:], NOWHERE])
        self._shifts = np.array([0, *(places - self._borders[:-1]), 0])

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, out: npt.NDArray[Any]) -> None:
        """Fill `out` (any integer type) with the tokens from position `start`. Raises IndexError beyond the end."""
        wanted = len(out)
        if start < 0 or start + wanted > self._starts[-1]:
            raise IndexError(f"tokens {start} to {start + wanted}: the stream holds {len(self)}")
        at = bisect_right(self._starts, start) - 1
        low = start - self._starts[at]
        piece = self._pieces[at][low : low + wanted]
        if len(piece) == wanted:  # nearly always, and every slice costs
            out[:] = piece
            return
        filled = len(piece)
        out[:filled] = piece
        while filled < wanted:
            at += 1
            piece = self._pieces[at][: wanted - filled]
            out[filled : filled + len(piece)] = piece
            filled += len(piece)

    def windows(self, starts: Positions, length: int) -> npt.NDArray[np.int64]:
        """The `length` tokens from each position on, of shape (len(starts), length). Raises IndexError beyond the end.

        One gather, whichever shards they lie in: two thirds of the time that `read` takes.
        """
        piece = np.searchsorted(self._borders, starts, "right")
        inside = starts + length <= self._limits[piece]
        rows = np.ndarray((max(0, len(self._memory) - length + 1), length), np.uint16, self._memory, strides=(2, 2))
        found = rows[(starts + self._shifts[piece])[inside]]
        windows = np.empty((len(starts), length), np.int64)
        windows[... if len(found) == len(starts) else inside] = found
        for row in np.flatnonzero(~inside):
            self.read(int(starts[row]), windows[row])
        return windows


def _addressed(pieces: list[Tokens]) -> tuple[Tokens, Positions]:
    """All memory from the first to the last of the pieces as one array, and where each begins in it: only there may it be read."""
    addresses = np.array([piece.ctypes.data for piece in pieces], np.int64)
    if not len(addresses):
        return np.zeros(0, np.uint16), addresses
    first = int(addresses.min())
    end = max(piece.ctypes.data + piece.nbytes for piece in pieces)
    memory = np.ctypeslib.as_array((ctypes.c_uint16 * ((end - first) // 2)).from_address(first))
    memory.flags.writeable = False
    return memory, (addresses - first) // 2

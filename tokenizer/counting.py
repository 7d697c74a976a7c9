"""Distinct pieces of text and how often each occurs, in one growing hash table of compiled code."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.bpe import COUNTS_SCHEMA
from tokenizer.characters import classes
from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers
from tokenizer.pre_tokens import NO_BOUNDARY, hash_of, next_boundary
from tokenizer.strings import utf8

_PRE_TOKENS, _BYTES, _NEED = range(3)


class _Table(NamedTuple):
    """Piece i is `arena[starts[i]:starts[i + 1]]`; `slots` are piece numbers by hash, -1 where none is; `at` are the used lengths."""

    arena: Array
    starts: Array
    times: Array
    hashes: Array
    slots: Array
    at: Array


class PreTokenCounter:
    """Counts GPT-2's pieces of any number of texts, in one thread; memory grows with the distinct pieces alone (some 45 bytes each)."""

    def __init__(self) -> None:
        pieces = 1 << 14
        self._table = _Table(
            arena=np.empty(1 << 17, np.uint8),
            starts=np.zeros(pieces + 1, np.int64),
            times=np.zeros(pieces, np.int64),
            hashes=np.zeros(pieces, np.uint32),
            slots=np.full(2 * pieces, -1, np.int32),
            at=np.zeros(3, np.int64),
        )

    def add(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Count the pieces of each text."""
        text, offsets = utf8(texts)
        ends = offsets[1:].copy()
        starts = offsets[:-1].copy()
        while not _count(text, starts, ends, classes(), self._table):
            self._grow()

    def add_counted(self, counts: pa.Table) -> None:
        """Add up another counter's table."""
        pieces, offsets = utf8(counts.column("piece"))
        times = counts.column("count").to_numpy().copy()
        done = 0
        while (done := _add(pieces, offsets, times, done, self._table)) < len(times):
            self._grow()

    def __len__(self) -> int:
        return int(self._table.at[_PRE_TOKENS])

    def table(self) -> pa.Table:
        """Pieces and counts, sorted by piece (tokenizer.bpe.COUNTS_SCHEMA)."""
        pieces, used = len(self), int(self._table.at[_BYTES])
        buffers = [None, pa.py_buffer(self._table.starts[: pieces + 1]), pa.py_buffer(self._table.arena[:used])]
        words = pa.LargeBinaryArray.from_buffers(pa.large_binary(), pieces, buffers)
        return pa.table([words, pa.array(self._table.times[:pieces])], schema=COUNTS_SCHEMA).sort_by("piece")

    def _grow(self) -> None:
        table = self._table
        pieces = 2 * len(table.times)
        self._table = _Table(
            arena=_longer(table.arena, 2 * len(table.arena) + int(table.at[_NEED])),
            starts=_longer(table.starts, pieces + 1),
            times=_longer(table.times, pieces),
            hashes=_longer(table.hashes, pieces),
            slots=np.full(2 * pieces, -1, np.int32),
            at=table.at,
        )
        _rehash(self._table)


def _longer(array: npt.NDArray[np.generic], length: int) -> npt.NDArray[np.generic]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def _count(text: Array, starts: Array, ends: Array, classes: Array, table: _Table) -> bool:
    """Count until the end (True) or until the table must grow; `starts` move on, so that the next call goes on."""
    for document in range(len(starts)):
        at, end = starts[document], ends[document]
        window, boundaries = at, NO_BOUNDARY
        while at < end:
            stop, window, boundaries = next_boundary(text, at, end, classes, window, boundaries)
            if not _count_piece(text, at, stop, 1, table):
                starts[document] = at
                return False
            at = stop
        starts[document] = end
    return True


@compiled
def _add(pieces: Array, offsets: Array, times: Array, done: Integer, table: _Table) -> Integer:
    """Add counted pieces from number `done` on until the end or until the table must grow; returns how many are done."""
    for piece in range(done, len(times)):
        if not _count_piece(pieces, offsets[piece], offsets[piece + 1], times[piece], table):
            return piece
    return len(times)


@compiled_into_callers
def _count_piece(text: Array, start: Integer, stop: Integer, times: Integer, table: _Table) -> bool:
    value = hash_of(text, start, stop)
    mask = len(table.slots) - 1
    slot = np.int64(value) & mask
    short = np.uint32(value >> np.uint64(32))
    while table.slots[slot] >= 0:
        piece = table.slots[slot]
        if table.hashes[piece] == short and _same(text, start, stop, table, piece):
            table.times[piece] += times
            return True
        slot = (slot + 1) & mask
    piece, used = table.at[_PRE_TOKENS], table.at[_BYTES]
    if piece + 1 >= len(table.times) or used + stop - start > len(table.arena):
        table.at[_NEED] = stop - start
        return False
    for i in range(stop - start):  # a slice would need memory, lest the two overlap
        table.arena[used + i] = text[start + i]
    table.slots[slot] = piece
    table.hashes[piece] = short
    table.times[piece] = times
    table.starts[piece + 1] = used + stop - start
    table.at[_PRE_TOKENS] += 1
    table.at[_BYTES] += stop - start
    return True


@compiled_into_callers
def _same(text: Array, start: Integer, stop: Integer, table: _Table, piece: Integer) -> bool:
    first = table.starts[piece]
    if table.starts[piece + 1] - first != stop - start:
        return False
    for i in range(stop - start):  # noqa: SIM110
        if table.arena[first + i] != text[start + i]:
            return False
    return True


@compiled
def _rehash(table: _Table) -> None:
    mask = len(table.slots) - 1
    for piece in range(table.at[_PRE_TOKENS]):
        slot = np.int64(hash_of(table.arena, table.starts[piece], table.starts[piece + 1])) & mask
        while table.slots[slot] >= 0:
            slot = (slot + 1) & mask
        table.slots[slot] = piece

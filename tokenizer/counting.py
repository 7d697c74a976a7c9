"""Counts of a text's distinct pre-tokens, in one growing hash table of compiled code."""

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
    """Pre-token i is `arena[starts[i]:starts[i + 1]]`; `slots` are their numbers by hash, or -1; `sizes` are lengths in use."""

    arena: Array
    starts: Array
    times: Array
    hashes: Array
    slots: Array
    sizes: Array


class PreTokenCounter:
    """Counts GPT-2's pre-tokens of any number of texts, in one thread.

    Memory grows only with the distinct pre-tokens: about 45 bytes each.
    """

    def __init__(self) -> None:
        room = 1 << 14
        self._table = _Table(
            arena=np.empty(1 << 17, np.uint8),
            starts=np.zeros(room + 1, np.int64),
            times=np.zeros(room, np.int64),
            hashes=np.zeros(room, np.uint32),
            slots=np.full(2 * room, -1, np.int32),
            sizes=np.zeros(3, np.int64),
        )

    def add(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Count the pre-tokens of each text."""
        text, offsets = utf8(texts)
        ends = offsets[1:].copy()
        starts = offsets[:-1].copy()
        while not _count(text, starts, ends, classes(), self._table):
            self._grow()

    def add_counts(self, counts: pa.Table) -> None:
        """Add another counter's table."""
        pre_tokens, offsets = utf8(counts.column("piece"))
        times = counts.column("count").to_numpy().copy()
        done = 0
        while (done := _add(pre_tokens, offsets, times, done, self._table)) < len(times):
            self._grow()

    def __len__(self) -> int:
        return int(self._table.sizes[_PRE_TOKENS])

    def table(self) -> pa.Table:
        """Pre-tokens and counts, sorted by pre-token (tokenizer.bpe.COUNTS_SCHEMA)."""
        rows, used = len(self), int(self._table.sizes[_BYTES])
        buffers = [None, pa.py_buffer(self._table.starts[: rows + 1]), pa.py_buffer(self._table.arena[:used])]
        pre_tokens = pa.LargeBinaryArray.from_buffers(pa.large_binary(), rows, buffers)
        return pa.table([pre_tokens, pa.array(self._table.times[:rows])], schema=COUNTS_SCHEMA).sort_by("piece")

    def _grow(self) -> None:
        table = self._table
        room = 2 * len(table.times)
        self._table = _Table(
            arena=_longer(table.arena, 2 * len(table.arena) + int(table.sizes[_NEED])),
            starts=_longer(table.starts, room + 1),
            times=_longer(table.times, room),
            hashes=_longer(table.hashes, room),
            slots=np.full(2 * room, -1, np.int32),
            sizes=table.sizes,
        )
        _rehash(self._table)


def _longer(array: npt.NDArray[np.generic], length: int) -> npt.NDArray[np.generic]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def _count(text: Array, starts: Array, ends: Array, classes: Array, table: _Table) -> bool:
    """Count until the end (True) or until the table must grow (False). `starts` advance, so the next call continues there."""
    for document in range(len(starts)):
        at, end = starts[document], ends[document]
        window, boundaries = at, NO_BOUNDARY
        while at < end:
            stop, window, boundaries = next_boundary(text, at, end, classes, window, boundaries)
            if not _count_pre_token(text, at, stop, 1, table):
                starts[document] = at
                return False
            at = stop
        starts[document] = end
    return True


@compiled
def _add(pre_tokens: Array, offsets: Array, times: Array, done: Integer, table: _Table) -> Integer:
    """Add counts from row `done` on, until the end or until the table must grow. Returns the number of rows added in all."""
    for pre_token in range(done, len(times)):
        if not _count_pre_token(pre_tokens, offsets[pre_token], offsets[pre_token + 1], times[pre_token], table):
            return pre_token
    return len(times)


@compiled_into_callers
def _count_pre_token(text: Array, start: Integer, stop: Integer, times: Integer, table: _Table) -> bool:
    value = hash_of(text, start, stop)
    mask = len(table.slots) - 1
    slot = np.int64(value) & mask
    short = np.uint32(value >> np.uint64(32))
    while table.slots[slot] >= 0:
        pre_token = table.slots[slot]
        if table.hashes[pre_token] == short and _is_equal(text, start, stop, table, pre_token):
            table.times[pre_token] += times
            return True
        slot = (slot + 1) & mask
    pre_token, used = table.sizes[_PRE_TOKENS], table.sizes[_BYTES]
    if pre_token + 1 >= len(table.times) or used + stop - start > len(table.arena):
        table.sizes[_NEED] = stop - start
        return False
    for i in range(stop - start):  # a slice would allocate memory, in case the two overlap
        table.arena[used + i] = text[start + i]
    table.slots[slot] = pre_token
    table.hashes[pre_token] = short
    table.times[pre_token] = times
    table.starts[pre_token + 1] = used + stop - start
    table.sizes[_PRE_TOKENS] += 1
    table.sizes[_BYTES] += stop - start
    return True


@compiled_into_callers
def _is_equal(text: Array, start: Integer, stop: Integer, table: _Table, pre_token: Integer) -> bool:
    first = table.starts[pre_token]
    if table.starts[pre_token + 1] - first != stop - start:
        return False
    for i in range(stop - start):  # noqa: SIM110
        if table.arena[first + i] != text[start + i]:
            return False
    return True


@compiled
def _rehash(table: _Table) -> None:
    mask = len(table.slots) - 1
    for pre_token in range(table.sizes[_PRE_TOKENS]):
        slot = np.int64(hash_of(table.arena, table.starts[pre_token], table.starts[pre_token + 1])) & mask
        while table.slots[slot] >= 0:
            slot = (slot + 1) & mask
        table.slots[slot] = pre_token

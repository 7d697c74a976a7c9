"""Encoding by compiled code: text in Arrow's buffers to 16-bit ids, with no Python object a token.

Each short piece is looked up in a memory of pieces met before, of a fixed size; one not met is merged, the lowest merge first, the leftmost
of equals: a short one by searching it again after each merge, a long one with a queue, so that no piece costs more than n log n.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.characters import classes
from tokenizer.compiled import Array, Integer, compiled, compiled_making_arrays
from tokenizer.paper import byte_ids
from tokenizer.pieces import NO_BORDER, next_border
from tokenizer.strings import utf8
from tokenizer.wide import load_8, store_8

LONG = 48
"""Pieces of more bytes are merged with a queue."""

KEY_BYTES, KEY_IDS = 15, 8
"""Pieces of at most so many bytes, in at most so many ids, are remembered."""

SLOT_BITS = 16
"""2^16 pieces are remembered; a new one takes the place of the one that stood in its slot."""

NONE = 0xFFFF

_ALL, _EIGHT = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(8)
_LENGTH_AT, _COUNT_AT = np.uint64(56), np.uint64(60)
_NO_COUNT = np.uint64((1 << 60) - 1)
_MIX_1, _MIX_2, _SLOT_SHIFT = np.uint64(0x2545F4914F6CDD1D), np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - SLOT_BITS)


class Merges(NamedTuple):
    """The merges as a hash table of `left << 32 | right << 16 | new id`, the id being the merge's rank too; and each byte's id."""

    table: Array
    bytes: Array


class Memory(NamedTuple):
    """What a thread works with.

    `pieces` are those met before, four 64-bit numbers each: 15 bytes, their length and the count of their ids in two, eight ids in two.
    `ranks` is room for the ranks of a short piece's pairs.
    """

    pieces: Array
    ranks: Array


class Encoder:
    """Encodes under given merges; one object serves many threads, each with a memory of its own."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._merges = _merges_table(np.array(pairs, np.int64).reshape(-1, 2))
        self._eot = 256 + len(pairs)
        self._local = threading.local()

    def encode(self, texts: pa.Array | pa.ChunkedArray, *, eot: bool) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Ids of all texts one after the other, and where each text's begin (the last offset is the end); `eot` ends each text."""
        text, offsets = utf8(texts)
        out = np.empty(len(text) + (len(offsets) - 1) * eot + KEY_IDS, np.uint16)
        places = np.zeros(len(offsets), np.int64)
        ending = self._eot if eot else -1
        _encode(text, offsets, ending, self._merges, self._memory(), classes(), out, places)
        return out[: places[-1]].copy(), places

    def _memory(self) -> Memory:
        if not hasattr(self._local, "memory"):
            self._local.memory = Memory(np.zeros((1 << SLOT_BITS, 4), np.uint64), np.empty(LONG, np.int64))
        return self._local.memory  # type: ignore[no-any-return]


def _merges_table(pairs: npt.NDArray[np.int64]) -> Merges:
    table = np.full(1 << (4 * max(256, len(pairs)) - 1).bit_length(), -1, np.int64)
    _fill(pairs, table)
    return Merges(table, np.array(byte_ids(), np.uint16))


@compiled
def _fill(pairs: Array, table: Array) -> None:
    for merge in range(len(pairs)):
        key = pairs[merge, 0] << 16 | pairs[merge, 1]
        slot = _slot(table, key)
        if table[slot] < 0:
            table[slot] = key << 16 | (256 + merge)


@compiled
def _slot(table: Array, key: Integer) -> Integer:
    mask = len(table) - 1
    slot = (key * 0x1E3779B97F4A7C15 >> 40) & mask
    while table[slot] >= 0 and table[slot] >> 16 != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _merged(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The id that the two make, or NONE."""
    return merges.table[_slot(merges.table, np.int64(left) << 16 | np.int64(right))] & NONE


@compiled
def _encode(
    text: Array, offsets: Array, ending: Integer, merges: Merges, memory: Memory, classes: Array, out: Array, places: Array
) -> None:
    pieces = memory.pieces
    filled: Integer = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        window, borders = at, NO_BORDER
        while at < end:
            stop, window, borders = next_border(text, at, end, classes, window, borders)
            if stop - at > KEY_BYTES or at + KEY_BYTES >= len(text):
                filled += _merge(text, at, stop, merges, memory, out, filled)
                at = stop
                continue
            low, high = _key(text, at, stop)
            slot = np.int64((low ^ high * _MIX_1) * _MIX_2 >> _SLOT_SHIFT)
            known = pieces[slot, 1]
            if pieces[slot, 0] == low and known & _NO_COUNT == high:
                store_8(out, filled, pieces[slot, 2])
                store_8(out, filled + KEY_IDS // 2, pieces[slot, 3])
                filled += np.int64(known >> _COUNT_AT)
            else:
                count = _merge(text, at, stop, merges, memory, out, filled)
                if count <= KEY_IDS:
                    pieces[slot, 0], pieces[slot, 1] = low, high | np.uint64(count) << _COUNT_AT
                    pieces[slot, 2], pieces[slot, 3] = load_8(out, filled), load_8(out, filled + KEY_IDS // 2)
                filled += count
            at = stop
        if ending >= 0:
            out[filled] = ending
            filled += 1
        places[document + 1] = filled


@compiled
def _key(text: Array, start: Integer, stop: Integer) -> tuple[Integer, Integer]:
    """A short piece's bytes and length as two numbers, of which the second is never 0. Reads 16 bytes, whatever the length."""
    first = np.uint64(min(stop - start, 8))
    second = np.uint64(stop - start) - first
    low = load_8(text, start) & (_ALL >> (_EIGHT - first) * _EIGHT)
    high = load_8(text, start + 8) & ~(_ALL << second * _EIGHT)
    return low, high | np.uint64(stop - start) << _LENGTH_AT


@compiled
def _merge(text: Array, start: Integer, stop: Integer, merges: Merges, memory: Memory, out: Array, filled: Integer) -> Integer:
    if stop - start > LONG:
        return _merge_long(text, start, stop, merges, out, filled)
    return _merge_short(text, start, stop, merges, memory.ranks, out, filled)


@compiled
def _merge_short(
    text: Array, start: Integer, stop: Integer, merges: Merges, ranks: Array, out: Array, filled: Integer
) -> Integer:
    """Merge a piece in place in `out`; returns the number of its ids."""
    size = stop - start
    for i in range(size):
        out[filled + i] = merges.bytes[text[start + i]]
    for i in range(size - 1):
        ranks[i] = _merged(merges, out[filled + i], out[filled + i + 1])
    while size > 1:
        best = 0
        for i in range(1, size - 1):
            if ranks[i] < ranks[best]:
                best = i
        if ranks[best] == NONE:
            break
        out[filled + best] = ranks[best]
        size -= 1
        for i in range(best + 1, size):
            out[filled + i] = out[filled + i + 1]
            ranks[i - 1] = ranks[i]
        if best > 0:
            ranks[best - 1] = _merged(merges, out[filled + best - 1], out[filled + best])
        if best < size - 1:
            ranks[best] = _merged(merges, out[filled + best], out[filled + best + 1])
    return size


@compiled_making_arrays
def _merge_long(text: Array, start: Integer, stop: Integer, merges: Merges, out: Array, filled: Integer) -> Integer:
    """The same with a queue of (rank, place), some 30 bytes a byte of the piece at most."""
    size = stop - start
    ids = np.empty(size, np.uint16)
    after = np.empty(size, np.int32)
    before = np.empty(size, np.int32)
    queue = np.empty(2 * size, np.int64)
    queued = 0
    for i in range(size):
        ids[i] = merges.bytes[text[start + i]]
        before[i], after[i] = i - 1, i + 1
    for i in range(size - 1):
        queued = _push(queue, queued, _merged(merges, ids[i], ids[i + 1]), i)
    while queued:
        entry = queue[0]
        queued = _pop(queue, queued)
        place, rank = entry & 0xFFFFFFFF, entry >> 32
        right = np.int64(after[place])
        if ids[place] == NONE or right == size or _merged(merges, ids[place], ids[right]) != rank:
            continue
        ids[place], ids[right] = rank, NONE
        after[place] = after[right]
        if after[place] < size:
            before[after[place]] = place
            queued = _push(queue, queued, _merged(merges, rank, ids[after[place]]), place)
        if before[place] >= 0:
            queued = _push(queue, queued, _merged(merges, ids[before[place]], rank), before[place])
    place = 0
    length = 0
    while place < size:
        out[filled + length] = ids[place]
        length += 1
        place = after[place]
    return length


@compiled
def _push(queue: Array, queued: Integer, rank: Integer, place: Integer) -> Integer:
    """Queue a merge at a place, unless there is none."""
    if rank == NONE:
        return queued
    entry = np.int64(rank) << 32 | np.int64(place)
    at = queued
    while at > 0 and queue[(at - 1) >> 1] > entry:
        queue[at] = queue[(at - 1) >> 1]
        at = (at - 1) >> 1
    queue[at] = entry
    return queued + 1


@compiled
def _pop(queue: Array, queued: Integer) -> Integer:
    size = queued - 1
    entry = queue[size]
    at = 0
    while 2 * at + 1 < size:
        down = 2 * at + 1
        if down + 1 < size and queue[down + 1] < queue[down]:
            down += 1
        if queue[down] >= entry:
            break
        queue[at] = queue[down]
        at = down
    queue[at] = entry
    return size

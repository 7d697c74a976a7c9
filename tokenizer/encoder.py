"""Encoding by compiled code: text in Arrow's buffers to 16-bit ids, with no Python object a token.

Each piece is looked up in a bounded memory of pieces met before; one not met is merged, the lowest merge first, the leftmost of equals:
a short one by searching it again after each merge, a long one with a queue, so that no piece costs more than n log n.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.characters import classes
from tokenizer.compiled import Array, Integer, compiled
from tokenizer.paper import byte_ids
from tokenizer.pieces import hash_of, piece_end
from tokenizer.strings import utf8

LONG = 48
"""Pieces of more bytes are merged with a queue, and not remembered."""

REMEMBERED = 1 << 18
"""Pieces remembered; when so many are, all are forgotten."""

NONE = 0xFFFF
NEVER = 1 << 62
USED_PIECES, USED_BYTES, USED_IDS = range(3)


class Merges(NamedTuple):
    """The merges as a hash table from (left, right) to the new id, which is also the merge's rank; and each byte's id."""

    keys: Array
    ids: Array
    bytes: Array


class Memory(NamedTuple):
    """Pieces met before: piece i is `text[starts[i]:starts[i + 1]]`, its ids `ids[firsts[i]:firsts[i + 1]]`."""

    text: Array
    starts: Array
    ids: Array
    firsts: Array
    hashes: Array
    slots: Array
    used: Array


class Encoder:
    """Encodes under given merges; one object serves many threads, each with a memory of its own."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._merges = _merges_table(np.array(pairs, np.int64).reshape(-1, 2))
        self._eot = 256 + len(pairs)
        self._local = threading.local()

    def encode(self, texts: pa.Array | pa.ChunkedArray, *, eot: bool) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Ids of all texts one after the other, and where each text's begin (the last offset is the end); `eot` ends each text."""
        text, offsets = utf8(texts)
        out = np.empty(len(text) + (len(offsets) - 1) * eot, np.uint16)
        places = np.zeros(len(offsets), np.int64)
        ending = self._eot if eot else -1
        _encode(text, offsets, ending, self._merges, self._memory(), classes(), out, places)
        return out[: places[-1]].copy(), places

    def _memory(self) -> Memory:
        if not hasattr(self._local, "memory"):
            self._local.memory = Memory(
                text=np.empty(REMEMBERED * 16, np.uint8),
                starts=np.zeros(REMEMBERED + 1, np.int64),
                ids=np.empty(REMEMBERED * 8, np.uint16),
                firsts=np.zeros(REMEMBERED + 1, np.int64),
                hashes=np.zeros(REMEMBERED, np.uint32),
                slots=np.full(2 * REMEMBERED, -1, np.int32),
                used=np.zeros(3, np.int64),
            )
        return self._local.memory  # type: ignore[no-any-return]


def _merges_table(pairs: npt.NDArray[np.int64]) -> Merges:
    keys = np.full(1 << (4 * max(256, len(pairs)) - 1).bit_length(), -1, np.int64)
    ids = np.full(len(keys), NONE, np.uint16)
    _fill(pairs, keys, ids)
    return Merges(keys, ids, np.array(byte_ids(), np.uint16))


@compiled
def _fill(pairs: Array, keys: Array, ids: Array) -> None:
    for merge in range(len(pairs)):
        key = pairs[merge, 0] << 16 | pairs[merge, 1]
        slot = _slot(keys, key)
        if keys[slot] < 0:
            keys[slot] = key
            ids[slot] = 256 + merge


@compiled
def _slot(keys: Array, key: Integer) -> Integer:
    mask = len(keys) - 1
    slot = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)) & mask
    while keys[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _merged(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The id that the two make, or NONE."""
    return merges.ids[_slot(merges.keys, np.int64(left) << 16 | np.int64(right))]


@compiled
def _encode(
    text: Array, offsets: Array, ending: Integer, merges: Merges, memory: Memory, classes: Array, out: Array, places: Array
) -> None:
    filled = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        while at < end:
            stop = piece_end(text, at, end, classes)
            filled = _encode_piece(text, at, stop, merges, memory, out, filled)
            at = stop
        if ending >= 0:
            out[filled] = ending
            filled += 1
        places[document + 1] = filled


@compiled
def _encode_piece(
    text: Array, start: Integer, stop: Integer, merges: Merges, memory: Memory, out: Array, filled: Integer
) -> Integer:
    """Append the ids of one piece; returns the new length of what is filled."""
    if stop - start > LONG:
        return filled + _merge_long(text, start, stop, merges, out, filled)
    value = hash_of(text, start, stop)
    mask = len(memory.slots) - 1
    short = np.uint32(value >> np.uint64(32))
    slot = np.int64(value) & mask
    while memory.slots[slot] >= 0:
        piece = memory.slots[slot]
        if memory.hashes[piece] == short and _same(text, start, stop, memory, piece):
            for i in range(memory.firsts[piece], memory.firsts[piece + 1]):
                out[filled] = memory.ids[i]
                filled += 1
            return filled
        slot = (slot + 1) & mask
    length = _merge_short(text, start, stop, merges, out, filled)
    _remember(text, start, stop, memory, short, slot, out[filled : filled + length])
    return filled + length


@compiled
def _same(text: Array, start: Integer, stop: Integer, memory: Memory, piece: Integer) -> bool:
    first = memory.starts[piece]
    if memory.starts[piece + 1] - first != stop - start:
        return False
    for i in range(stop - start):  # noqa: SIM110
        if memory.text[first + i] != text[start + i]:
            return False
    return True


@compiled
def _remember(text: Array, start: Integer, stop: Integer, memory: Memory, short: Integer, slot: Integer, ids: Array) -> None:
    used, piece = memory.used, memory.used[USED_PIECES]
    if piece == len(memory.hashes) or used[USED_BYTES] + LONG > len(memory.text) or used[USED_IDS] + LONG > len(memory.ids):
        memory.slots[:] = -1
        used[:] = 0
        return
    for i in range(stop - start):
        memory.text[used[USED_BYTES] + i] = text[start + i]
    for i in range(len(ids)):
        memory.ids[used[USED_IDS] + i] = ids[i]
    used[USED_PIECES] += 1
    used[USED_BYTES] += stop - start
    used[USED_IDS] += len(ids)
    memory.starts[piece + 1] = used[USED_BYTES]
    memory.firsts[piece + 1] = used[USED_IDS]
    memory.hashes[piece] = short
    memory.slots[slot] = piece


@compiled
def _merge_short(text: Array, start: Integer, stop: Integer, merges: Merges, out: Array, filled: Integer) -> Integer:
    """Merge a piece in place in `out`; returns the number of its ids."""
    size = stop - start
    ranks = np.empty(LONG, np.int64)
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


@compiled
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

"""Encoding by compiled code: text in Arrow's buffers to 16-bit ids, with no Python object a token.

A piece of up to 31 bytes is looked up in a cache of pieces met before, of a fixed size; one not met is merged, the lowest merge first, the
leftmost of equals: a short one by searching it again after each merge, a long one with a queue, so that no piece costs more than n log n.
"""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.characters import classes
from tokenizer.compiled import Array, Integer, compiled, compiled_into_callers, compiled_making_arrays
from tokenizer.paper import byte_ids
from tokenizer.pre_tokens import NO_BOUNDARY, next_boundary
from tokenizer.simd import LANES, least_16, load_8, store_8
from tokenizer.strings import utf8

LONG = 48
"""Pieces of more bytes are merged with a queue. A multiple of LANES, and of no more places than 8 bits tell apart."""

SHORT_BYTES, SHORT_IDS, SHORT_SLOTS = 15, 8, 17
LONGER_BYTES, LONGER_IDS, LONGER_SLOTS = 31, 12, 13
"""Pieces of at most so many bytes, in at most so many ids, are remembered, 2^slots of each kind; a new one takes the place in its slot."""

NO_MERGE = 0xFFFF

_ALL, _EIGHT = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(8)
_LENGTH_AT, _COUNT_AT = np.uint64(56), np.uint64(60)
_NO_COUNT = np.uint64((1 << 60) - 1)
_MIX_1, _MIX_2, _MIX_3 = np.uint64(0x2545F4914F6CDD1D), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SHORT_SHIFT, _LONGER_SHIFT = np.uint64(64 - SHORT_SLOTS), np.uint64(64 - LONGER_SLOTS)
_PLACE_BITS = np.uint32(8)
_NO_RANK = np.uint32(NO_MERGE << 8)


class Merges(NamedTuple):
    """The merges as a hash table of `left << 32 | right << 16 | new id`, the id being the merge's rank too.

    `bytes` are the ids of bytes, `pairs` the id that each two bytes make (`first << 8 | second`), or NO_MERGE.
    """

    table: Array
    bytes: Array
    pairs: Array


class EncoderCache(NamedTuple):
    """What a thread works with: pieces met before, and room to merge one.

    A row of `short` is four 64-bit numbers: 15 bytes, the length and the count of ids in two, eight ids in two. A row of `longer` is eight:
    31 bytes and the length in four, the count, twelve ids in three.
    """

    short: Array
    longer: Array
    ranks: Array
    ids: Array
    links: Array


class Encoder:
    """Encodes under given merges; one object serves many threads, each with a cache of its own."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._merges = _merges_table(np.array(pairs, np.int64).reshape(-1, 2))
        self._eot = 256 + len(pairs)
        self._local = threading.local()

    def encode(self, texts: pa.Array | pa.ChunkedArray, *, eot: bool) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Ids of all texts one after the other, and where each text's begin (the last offset is the end); `eot` ends each text."""
        text, offsets = utf8(texts)
        out = np.empty(len(text) + (len(offsets) - 1) * eot + LONGER_IDS, np.uint16)  # as many are written whatever a piece has
        places = np.zeros(len(offsets), np.int64)
        ending = self._eot if eot else -1
        _encode(text, offsets, ending, self._merges, self._cache(), classes(), out, places)
        return out[: places[-1]].copy(), places

    def _cache(self) -> EncoderCache:
        if not hasattr(self._local, "cache"):
            self._local.cache = EncoderCache(
                short=np.zeros((1 << SHORT_SLOTS, 4), np.uint64),
                longer=np.zeros((1 << LONGER_SLOTS, 8), np.uint64),
                ranks=np.empty(LONG, np.uint32),
                ids=np.empty(LONG, np.uint16),
                links=np.empty((2, LONG + 1), np.int8),
            )
        return self._local.cache  # type: ignore[no-any-return]


def _merges_table(pairs: npt.NDArray[np.int64]) -> Merges:
    table = np.full(1 << (2 * max(256, len(pairs)) - 1).bit_length(), -1, np.int64)
    _fill(pairs, table)
    merges = Merges(table, np.array(byte_ids(), np.uint16), np.empty(1 << 16, np.uint16))
    _fill_pairs(merges)
    return merges


@compiled
def _fill(pairs: Array, table: Array) -> None:
    for merge in range(len(pairs)):
        key = pairs[merge, 0] << 16 | pairs[merge, 1]
        slot = _slot(table, key)
        if table[slot] < 0:
            table[slot] = key << 16 | (256 + merge)


@compiled
def _fill_pairs(merges: Merges) -> None:
    for pair in range(len(merges.pairs)):
        merges.pairs[pair] = _merged(merges, merges.bytes[pair >> 8], merges.bytes[pair & 0xFF])


@compiled_into_callers
def _slot(table: Array, key: Integer) -> Integer:
    mask = len(table) - 1
    slot = (key * 0x1E3779B97F4A7C15 >> 40) & mask
    while table[slot] >= 0 and table[slot] >> 16 != key:
        slot = (slot + 1) & mask
    return slot


@compiled_into_callers
def _merged(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The id that the two make, or NO_MERGE."""
    return merges.table[_slot(merges.table, np.int64(left) << 16 | np.int64(right))] & NO_MERGE


@compiled
def _encode(
    text: Array, offsets: Array, ending: Integer, merges: Merges, cache: EncoderCache, classes: Array, out: Array, places: Array
) -> None:
    filled: Integer = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        window, boundaries = at, NO_BOUNDARY
        while at < end:
            stop, window, boundaries = next_boundary(text, at, end, classes, window, boundaries)
            if stop - at <= SHORT_BYTES and at + SHORT_BYTES < len(text):
                filled += _encode_short(text, at, stop, merges, cache, out, filled)
            elif stop - at <= LONGER_BYTES and at + LONGER_BYTES < len(text):
                filled += _encode_longer(text, at, stop, merges, cache, out, filled)
            else:
                filled += _merge(text, at, stop, merges, cache, out, filled)
            at = stop
        if ending >= 0:
            out[filled] = ending
            filled += 1
        places[document + 1] = filled


@compiled_into_callers
def _encode_short(
    text: Array, at: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, filled: Integer
) -> Integer:
    """Write a piece's ids, remembered or merged; returns how many. Reads 16 bytes and writes room for eight ids, whatever the piece."""
    pieces = cache.short
    first = np.uint64(min(stop - at, 8))
    second = np.uint64(stop - at) - first
    low = load_8(text, at) & (_ALL >> (_EIGHT - first) * _EIGHT)
    high = (load_8(text, at + 8) & ~(_ALL << second * _EIGHT)) | np.uint64(stop - at) << _LENGTH_AT
    slot = np.int64((low ^ high * _MIX_1) * _MIX_2 >> _SHORT_SHIFT)
    known = pieces[slot, 1]
    if pieces[slot, 0] == low and known & _NO_COUNT == high:
        store_8(out, filled, pieces[slot, 2])
        store_8(out, filled + 4, pieces[slot, 3])
        return np.int64(known >> _COUNT_AT)
    count = _merge(text, at, stop, merges, cache, out, filled)
    if count <= SHORT_IDS:
        pieces[slot, 0], pieces[slot, 1] = low, high | np.uint64(count) << _COUNT_AT
        pieces[slot, 2], pieces[slot, 3] = load_8(out, filled), load_8(out, filled + 4)
    return count


@compiled_into_callers
def _encode_longer(
    text: Array, at: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, filled: Integer
) -> Integer:
    """The same for a piece of 16 to 31 bytes, of which 32 are read and twelve ids written."""
    pieces = cache.longer
    third = np.uint64(min(stop - at - 16, 8))
    fourth = np.uint64(stop - at - 16) - third
    a, b = load_8(text, at), load_8(text, at + 8)
    c = load_8(text, at + 16) & (_ALL >> (_EIGHT - third) * _EIGHT if third else np.uint64(0))
    d = (load_8(text, at + 24) & ~(_ALL << fourth * _EIGHT)) | np.uint64(stop - at) << _LENGTH_AT
    slot = np.int64((((a ^ b * _MIX_1) * _MIX_2) ^ ((c ^ d * _MIX_1) * _MIX_3)) * _MIX_2 >> _LONGER_SHIFT)
    if pieces[slot, 0] == a and pieces[slot, 1] == b and pieces[slot, 2] == c and pieces[slot, 3] == d:
        for i in range(3):
            store_8(out, filled + 4 * i, pieces[slot, 5 + i])
        return np.int64(pieces[slot, 4])
    count = _merge(text, at, stop, merges, cache, out, filled)
    if count <= LONGER_IDS:
        pieces[slot, 0], pieces[slot, 1], pieces[slot, 2], pieces[slot, 3], pieces[slot, 4] = a, b, c, d, np.uint64(count)
        for i in range(3):
            pieces[slot, 5 + i] = load_8(out, filled + 4 * i)
    return count


@compiled
def _merge(
    text: Array, start: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, filled: Integer
) -> Integer:
    if stop - start > LONG:
        return _merge_long(text, start, stop, merges, out, filled)
    return _merge_short(text, start, stop, merges, cache, out, filled)


@compiled
def _merge_short(
    text: Array, start: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, filled: Integer
) -> Integer:
    """Write a piece's ids; returns how many.

    Tokens stand where their first bytes do; `ranks` are of each with the one after it, and its place below, so that the least is the next
    merge and of equals the leftmost.
    """
    ranks, ids, before, after = cache.ranks, cache.ids, cache.links[0], cache.links[1]
    size = stop - start
    last = (size - 1) | (LANES - 1)
    for i in range(size):
        ids[i] = merges.bytes[text[start + i]]
        before[i], after[i] = i - 1, i + 1
    for i in range(size - 1):
        pair = np.int64(text[start + i]) << 8 | np.int64(text[start + i + 1])
        ranks[i] = np.uint32(merges.pairs[pair]) << _PLACE_BITS | np.uint32(i)
    for i in range(size - 1, last + 1):
        ranks[i] = _NO_RANK
    while True:
        least = least_16(ranks, 0)
        for i in range(LANES, last, LANES):
            least = min(least, least_16(ranks, i))
        if least >= _NO_RANK:
            break
        place, new = np.int64(least & np.uint32(0xFF)), least >> _PLACE_BITS
        merged = after[place]
        ids[place], ranks[merged] = new, _NO_RANK
        after[place] = right = after[merged]
        before[right] = place
        ranks[place] = _rank(merges, ids, place, right) if right < size else _NO_RANK
        if before[place] >= 0:
            ranks[before[place]] = _rank(merges, ids, before[place], place)
    token: Integer = 0
    length = 0
    while token < size:
        out[filled + length] = ids[token]
        length += 1
        token = np.int64(after[token])
    return length


@compiled_into_callers
def _rank(merges: Merges, ids: Array, left: Integer, right: Integer) -> Integer:
    return np.uint32(_merged(merges, ids[left], ids[right])) << _PLACE_BITS | np.uint32(left)


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
        if ids[place] == NO_MERGE or right == size or _merged(merges, ids[place], ids[right]) != rank:
            continue
        ids[place], ids[right] = rank, NO_MERGE
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
    if rank == NO_MERGE:
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

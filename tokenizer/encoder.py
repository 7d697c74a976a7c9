"""Encodes text in Arrow's buffers to 16-bit ids in compiled code, without a Python object per token.

A pre-token of up to 31 bytes is looked up in a cache of fixed size. One that is not in it is merged: the merge of lowest rank
first, the leftmost among equals. A short pre-token is scanned again after each merge; a long one uses a queue, so n bytes cost at
most n log n steps.
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
from tokenizer.token_ids import DocumentOffsets, TokenIds

LONG_BYTES = 48
"""Pre-tokens of more bytes are merged with a queue. It is a multiple of LANES, and its positions fit into 8 bits."""

SHORT_BYTES, SHORT_IDS, SHORT_SLOTS = 15, 8, 17
LONGER_BYTES, LONGER_IDS, LONGER_SLOTS = 31, 12, 13
"""Limits of cached pre-tokens: bytes, ids, and log2 of the slots of each kind. A new one overwrites its slot."""

NO_MERGE = 0xFFFF

_ALL, _EIGHT = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(8)
_LENGTH_AT, _COUNT_AT = np.uint64(56), np.uint64(60)
_NO_COUNT = np.uint64((1 << 60) - 1)
_MIX_1, _MIX_2, _MIX_3 = np.uint64(0x2545F4914F6CDD1D), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_SHORT_SHIFT, _LONGER_SHIFT = np.uint64(64 - SHORT_SLOTS), np.uint64(64 - LONGER_SLOTS)
_POSITION_BITS = np.uint32(8)
_NO_RANK = np.uint32(NO_MERGE << 8)


class Merges(NamedTuple):
    """The merges as a hash table of `left << 32 | right << 16 | new id`; the id also orders the merges by rank.

    `bytes` are the ids of bytes. `pairs` are the ids that two bytes make, by `first << 8 | second`, or NO_MERGE.
    """

    table: Array
    bytes: Array
    pairs: Array


class EncoderCache(NamedTuple):
    """A thread's cache of encoded pre-tokens (`short`, `longer`) and its scratch arrays for merging (`ranks`, `ids`, `links`).

    A row of `short` is four 64-bit numbers: two hold 15 bytes, their length and the count of ids; two hold eight ids. A row of
    `longer` is eight: four hold 31 bytes and their length, one the count, three twelve ids.
    """

    short: Array
    longer: Array
    ranks: Array
    ids: Array
    links: Array


class Encoder:
    """Encodes with given merges. Threads may share it: each has a cache of its own."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        self._merges = _merges_table(np.array(pairs, np.int64).reshape(-1, 2))
        self._eot = 256 + len(pairs)
        self._local = threading.local()

    def encode(self, texts: pa.Array | pa.ChunkedArray, *, eot: bool) -> tuple[TokenIds, DocumentOffsets]:
        """The concatenated ids of all texts, and where each text's begin (the last offset is the end). `eot` ends each text."""
        text, offsets = utf8(texts)
        room = LONGER_IDS  # a cached pre-token always writes this many, even if it has fewer ids
        out = np.empty(len(text) + (len(offsets) - 1) * eot + room, np.uint16)
        out_offsets = np.zeros(len(offsets), np.int64)
        ending = self._eot if eot else -1
        _encode(text, offsets, ending, self._merges, self._cache(), classes(), out, out_offsets)
        return out[: out_offsets[-1]].copy(), out_offsets

    def _cache(self) -> EncoderCache:
        if not hasattr(self._local, "cache"):
            self._local.cache = EncoderCache(
                short=np.zeros((1 << SHORT_SLOTS, 4), np.uint64),
                longer=np.zeros((1 << LONGER_SLOTS, 8), np.uint64),
                ranks=np.empty(LONG_BYTES, np.uint32),
                ids=np.empty(LONG_BYTES, np.uint16),
                links=np.empty((2, LONG_BYTES + 1), np.int8),
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
        merges.pairs[pair] = _merge_id(merges, merges.bytes[pair >> 8], merges.bytes[pair & 0xFF])


@compiled_into_callers
def _slot(table: Array, key: Integer) -> Integer:
    mask = len(table) - 1
    slot = (key * 0x1E3779B97F4A7C15 >> 40) & mask
    while table[slot] >= 0 and table[slot] >> 16 != key:
        slot = (slot + 1) & mask
    return slot


@compiled_into_callers
def _merge_id(merges: Merges, left: Integer, right: Integer) -> Integer:
    """The id that two tokens merge to, or NO_MERGE."""
    return merges.table[_slot(merges.table, np.int64(left) << 16 | np.int64(right))] & NO_MERGE


@compiled
def _encode(
    text: Array,
    offsets: Array,
    ending: Integer,
    merges: Merges,
    cache: EncoderCache,
    classes: Array,
    out: Array,
    out_offsets: Array,
) -> None:
    out_size: Integer = 0
    for document in range(len(offsets) - 1):
        at, end = offsets[document], offsets[document + 1]
        window, boundaries = at, NO_BOUNDARY
        while at < end:
            stop, window, boundaries = next_boundary(text, at, end, classes, window, boundaries)
            if stop - at <= SHORT_BYTES and at + SHORT_BYTES < len(text):
                out_size += _encode_short(text, at, stop, merges, cache, out, out_size)
            elif stop - at <= LONGER_BYTES and at + LONGER_BYTES < len(text):
                out_size += _encode_longer(text, at, stop, merges, cache, out, out_size)
            else:
                out_size += _merge(text, at, stop, merges, cache, out, out_size)
            at = stop
        if ending >= 0:
            out[out_size] = ending
            out_size += 1
        out_offsets[document + 1] = out_size


@compiled_into_callers
def _encode_short(
    text: Array, at: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, out_size: Integer
) -> Integer:
    """Write the ids of a pre-token of at most 15 bytes, from the cache or by merging; returns their number.

    Always reads 16 bytes; a cached pre-token always writes eight ids, even if it has fewer.
    """
    rows = cache.short
    first = np.uint64(min(stop - at, 8))
    second = np.uint64(stop - at) - first
    low = load_8(text, at) & (_ALL >> (_EIGHT - first) * _EIGHT)
    high = (load_8(text, at + 8) & ~(_ALL << second * _EIGHT)) | np.uint64(stop - at) << _LENGTH_AT
    slot = np.int64((low ^ high * _MIX_1) * _MIX_2 >> _SHORT_SHIFT)
    counts = rows[slot, 1]
    if rows[slot, 0] == low and counts & _NO_COUNT == high:
        store_8(out, out_size, rows[slot, 2])
        store_8(out, out_size + 4, rows[slot, 3])
        return np.int64(counts >> _COUNT_AT)
    count = _merge(text, at, stop, merges, cache, out, out_size)
    if count <= SHORT_IDS:
        rows[slot, 0], rows[slot, 1] = low, high | np.uint64(count) << _COUNT_AT
        rows[slot, 2], rows[slot, 3] = load_8(out, out_size), load_8(out, out_size + 4)
    return count


@compiled_into_callers
def _encode_longer(
    text: Array, at: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, out_size: Integer
) -> Integer:
    """Write the ids of a pre-token of 16 to 31 bytes, from the cache or by merging; returns their number.

    Always reads 32 bytes; a cached pre-token always writes twelve ids, even if it has fewer.
    """
    rows = cache.longer
    third = np.uint64(min(stop - at - 16, 8))
    fourth = np.uint64(stop - at - 16) - third
    a, b = load_8(text, at), load_8(text, at + 8)
    c = load_8(text, at + 16) & (_ALL >> (_EIGHT - third) * _EIGHT if third else np.uint64(0))
    d = (load_8(text, at + 24) & ~(_ALL << fourth * _EIGHT)) | np.uint64(stop - at) << _LENGTH_AT
    slot = np.int64((((a ^ b * _MIX_1) * _MIX_2) ^ ((c ^ d * _MIX_1) * _MIX_3)) * _MIX_2 >> _LONGER_SHIFT)
    if rows[slot, 0] == a and rows[slot, 1] == b and rows[slot, 2] == c and rows[slot, 3] == d:
        for i in range(3):
            store_8(out, out_size + 4 * i, rows[slot, 5 + i])
        return np.int64(rows[slot, 4])
    count = _merge(text, at, stop, merges, cache, out, out_size)
    if count <= LONGER_IDS:
        rows[slot, 0], rows[slot, 1], rows[slot, 2], rows[slot, 3], rows[slot, 4] = a, b, c, d, np.uint64(count)
        for i in range(3):
            rows[slot, 5 + i] = load_8(out, out_size + 4 * i)
    return count


@compiled
def _merge(
    text: Array, start: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, out_size: Integer
) -> Integer:
    if stop - start > LONG_BYTES:
        return _merge_long(text, start, stop, merges, out, out_size)
    return _merge_short(text, start, stop, merges, cache, out, out_size)


@compiled
def _merge_short(
    text: Array, start: Integer, stop: Integer, merges: Merges, cache: EncoderCache, out: Array, out_size: Integer
) -> Integer:
    """Write the ids of a pre-token of at most LONG_BYTES; returns their number.

    A token is stored at its first byte's position. `ranks` holds the rank of each token's merge with the next token, and below it
    the position, so the least is the next merge, and the leftmost among equals.
    """
    ranks, ids, before, after = cache.ranks, cache.ids, cache.links[0], cache.links[1]
    size = stop - start
    last = (size - 1) | (LANES - 1)
    for i in range(size):
        ids[i] = merges.bytes[text[start + i]]
        before[i], after[i] = i - 1, i + 1
    for i in range(size - 1):
        pair = np.int64(text[start + i]) << 8 | np.int64(text[start + i + 1])
        ranks[i] = np.uint32(merges.pairs[pair]) << _POSITION_BITS | np.uint32(i)
    for i in range(size - 1, last + 1):
        ranks[i] = _NO_RANK
    while True:
        least = least_16(ranks, 0)
        for i in range(LANES, last, LANES):
            least = min(least, least_16(ranks, i))
        if least >= _NO_RANK:
            break
        position, new = np.int64(least & np.uint32(0xFF)), least >> _POSITION_BITS
        tail = after[position]
        ids[position], ranks[tail] = new, _NO_RANK
        after[position] = right = after[tail]
        before[right] = position
        ranks[position] = _rank(merges, ids, position, right) if right < size else _NO_RANK
        if before[position] >= 0:
            ranks[before[position]] = _rank(merges, ids, before[position], position)
    token: Integer = 0
    length = 0
    while token < size:
        out[out_size + length] = ids[token]
        length += 1
        token = np.int64(after[token])
    return length


@compiled_into_callers
def _rank(merges: Merges, ids: Array, left: Integer, right: Integer) -> Integer:
    return np.uint32(_merge_id(merges, ids[left], ids[right])) << _POSITION_BITS | np.uint32(left)


@compiled_making_arrays
def _merge_long(text: Array, start: Integer, stop: Integer, merges: Merges, out: Array, out_size: Integer) -> Integer:
    """Write the ids of a pre-token of any length; returns their number.

    A queue of (rank, position) finds the next merge. It takes at most about 30 bytes of memory per byte of the pre-token.
    """
    size = stop - start
    ids = np.empty(size, np.uint16)
    after = np.empty(size, np.int32)
    before = np.empty(size, np.int32)
    queue = np.empty(2 * size, np.int64)
    queue_size = 0
    for i in range(size):
        ids[i] = merges.bytes[text[start + i]]
        before[i], after[i] = i - 1, i + 1
    for i in range(size - 1):
        queue_size = _push(queue, queue_size, _merge_id(merges, ids[i], ids[i + 1]), i)
    while queue_size:
        entry = queue[0]
        queue_size = _pop(queue, queue_size)
        position, rank = entry & 0xFFFFFFFF, entry >> 32
        right = np.int64(after[position])
        if ids[position] == NO_MERGE or right == size or _merge_id(merges, ids[position], ids[right]) != rank:
            continue
        ids[position], ids[right] = rank, NO_MERGE
        after[position] = after[right]
        if after[position] < size:
            before[after[position]] = position
            queue_size = _push(queue, queue_size, _merge_id(merges, rank, ids[after[position]]), position)
        if before[position] >= 0:
            queue_size = _push(queue, queue_size, _merge_id(merges, ids[before[position]], rank), before[position])
    position = 0
    length = 0
    while position < size:
        out[out_size + length] = ids[position]
        length += 1
        position = after[position]
    return length


@compiled
def _push(queue: Array, queue_size: Integer, rank: Integer, position: Integer) -> Integer:
    """Add a merge at a position to the queue, unless its rank is NO_MERGE; returns the queue's size."""
    if rank == NO_MERGE:
        return queue_size
    entry = np.int64(rank) << 32 | np.int64(position)
    at = queue_size
    while at > 0 and queue[(at - 1) >> 1] > entry:
        queue[at] = queue[(at - 1) >> 1]
        at = (at - 1) >> 1
    queue[at] = entry
    return queue_size + 1


@compiled
def _pop(queue: Array, queue_size: Integer) -> Integer:
    size = queue_size - 1
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

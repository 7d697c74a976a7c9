"""Exact Jaccard similarity of hashed shingles, read from the index by byte range."""

import os
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from pipeline.dedup import shingles
from pipeline.dedup.shingles import PACKED_BYTES
from pipeline.dedup.string_hashes import UInt64Array, Utf8Bytes
from pipeline.storage import files
from tokenizer.compiled import compiled
from tokenizer.errors import InputError

PAIRS_AT_ONCE = 50_000
SHINGLES_AT_ONCE = 250_000
_NO_DOCUMENT = np.iinfo(np.int64).max

SHINGLE_PLACES = np.dtype([("number", "<u4"), ("shard", "<u4"), ("start", "<i8"), ("count", "<i8")])
"""Where a document's shingles lie in its shard's .bin file: `start` and `count` in shingles."""

Int64Array = npt.NDArray[np.int64]
ShinglePlaces = npt.NDArray[np.void]
JaccardArray = npt.NDArray[np.float64]


class ShingleSets(NamedTuple):
    """Sets of shingles in one array: set i has the distinct `hashes[starts[i]:ends[i]]`."""

    hashes: UInt64Array
    starts: Int64Array
    ends: Int64Array


def load() -> None:
    """Load the compiled code."""
    places = np.zeros(1, SHINGLE_PLACES)
    for _ in cut_pairs(np.zeros(1, np.int64), np.zeros(1, np.int64), places["count"]):
        jaccard(read_sets([os.devnull], places), np.zeros(1, np.int64), np.zeros(1, np.int64))


def similarities(
    shingle_files: Sequence[str], places: ShinglePlaces, a: Int64Array, b: Int64Array, least: float = 0.0
) -> JaccardArray:
    """The Jaccard similarity of the documents at places[a[i]] and places[b[i]], 0 where it is below `least`.

    `shingle_files` are the .bin files of all shards. A bounded number of shingles is read at a time. A document whose pairs are
    adjacent is read once.
    """
    out = np.empty(len(a), np.float64)
    used, a, b = _renumber(a, b)
    chosen = np.array(places[used])
    for part in cut_pairs(a, b, chosen["count"]):
        members, one, other = _renumber(a[part], b[part])
        out[part] = jaccard(read_sets(shingle_files, chosen[members]), one, other, least)
    return out


def _renumber(a: Int64Array, b: Int64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The distinct values of both arrays, ascending, and the place of each in them; memory grows with the range of the values."""
    least = min(a.min(initial=_NO_DOCUMENT), b.min(initial=_NO_DOCUMENT))
    a, b = a - least, b - least
    places = np.zeros(max(a.max(initial=-1), b.max(initial=-1)) + 1, np.int64)
    places[a] = places[b] = 1
    used = np.flatnonzero(places)
    places[used] = np.arange(len(used))
    return used + least, places[a], places[b]


def read_sets(shingle_files: Sequence[str], places: ShinglePlaces) -> ShingleSets:
    """The shingle sets of the documents at `places`, from the .bin files of all shards."""
    counts = places["count"].astype(np.int64)
    starts = np.cumsum(counts) - counts
    hashes = np.empty(int(counts.sum()), np.uint64)
    order = np.lexsort((places["start"], places["shard"]))
    begins = np.flatnonzero(np.diff(places["shard"][order])) + 1
    for members in np.split(order, begins) if len(order) else []:
        sizes = counts[members]
        path = shingle_files[places["shard"][members[0]]]
        packed = _read(path, places["start"][members] * PACKED_BYTES, sizes * PACKED_BYTES)
        shingles.unpack(packed, np.cumsum(sizes) - sizes, sizes, hashes, starts[members])
    ends = np.empty(len(starts), np.int64)
    _make_distinct(hashes, starts, counts, ends, _table(counts))
    return ShingleSets(hashes, starts, ends)


def _read(path: str, starts: Int64Array, sizes: Int64Array) -> Utf8Bytes:
    """Ascending ranges of a file, concatenated."""
    data, end = np.empty(int(sizes.sum()), np.uint8), 0
    with files.open_input(path, buffered=False) as file:
        raw, room = cast("BufferedIOBase", file), data.data
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            raw.seek(start)
            end += raw.readinto(room[end : end + size])
    if end != len(data):
        raise InputError(f"{path}: ends before byte {starts[-1] + sizes[-1]:,}; run the stage again that wrote it")
    return data


def jaccard(sets: ShingleSets, a: Int64Array, b: Int64Array, least: float = 0.0) -> JaccardArray:
    """The similarity of sets a[i] and b[i], 0 where it is below `least`; fastest where equal values of `a` are adjacent."""
    out = np.empty(len(a), np.float64)
    _jaccard(sets, a, b, least, _table(sets.ends - sets.starts), out)
    return out


def _table(counts: Int64Array) -> UInt64Array:
    """A hash table for the largest set: a power of two, at least twice the set's size."""
    return np.empty(2 << int(counts.max(initial=1)).bit_length(), np.uint64)


@compiled
def _clear(table: UInt64Array, count: int) -> np.uint64:
    """Empty the slots that `count` values need; returns their mask."""
    size = np.uint64(2)
    while size < 2 * count:
        size *= np.uint64(2)
    table[:size] = 0
    return size - np.uint64(1)


@compiled
def _slot(table: UInt64Array, mask: np.uint64, value: np.uint64) -> np.uint64:
    """The slot that holds the value, or the empty one for it.

    Values are hashes already, so their low bits select the slot. A slot holds the value plus one: zero is empty.
    """
    slot = value & mask
    while table[slot] != 0 and table[slot] != value + np.uint64(1):
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _make_distinct(hashes: UInt64Array, starts: Int64Array, counts: Int64Array, ends: Int64Array, table: UInt64Array) -> None:
    """Move the distinct values of each set to its front and store their end in `ends`."""
    for i in range(len(starts)):
        mask = _clear(table, counts[i])
        end = starts[i]
        for j in range(starts[i], starts[i] + counts[i]):
            slot = _slot(table, mask, hashes[j])
            if table[slot] == 0:
                table[slot] = hashes[j] + np.uint64(1)
                hashes[end] = hashes[j]
                end += 1
        ends[i] = end


@compiled
def _jaccard(sets: ShingleSets, a: Int64Array, b: Int64Array, least: float, table: UInt64Array, out: JaccardArray) -> None:
    """Sets of x and y values must share least / (1 + least) * (x + y) values: give a pair up once it cannot."""
    mask = np.uint64(0)
    held = -1
    for pair in range(len(a)):
        one, other = a[pair], b[pair]
        x, y = sets.ends[one] - sets.starts[one], sets.ends[other] - sets.starts[other]
        needed = least / (1.0 + least) * (x + y) - 0.001
        out[pair] = 0.0
        if min(x, y) < needed or not x + y:
            continue
        if held != one:
            held = one
            mask = _clear(table, x)
            for i in range(sets.starts[one], sets.ends[one]):
                table[_slot(table, mask, sets.hashes[i])] = sets.hashes[i] + np.uint64(1)
        missing, may_miss = 0, int(y - needed)
        for i in range(sets.starts[other], sets.ends[other]):
            missing += table[_slot(table, mask, sets.hashes[i])] == 0
            if missing > may_miss:
                break
        else:
            similarity = (y - missing) / (x + missing)
            out[pair] = similarity if similarity >= least else 0.0


def cut_pairs(a: Int64Array, b: Int64Array, counts: Int64Array) -> Iterator[slice]:
    """Slices of the pairs of documents with bounded pairs and shingles each; `counts` has the shingles of each document."""
    starts = np.empty(len(a) + 1, np.int64)
    parts = _cut_pairs(a, b, counts, np.full(len(counts), -1), starts)
    yield from (slice(start, stop) for start, stop in pairwise([*starts[:parts].tolist(), len(a)]))


@compiled
def _cut_pairs(a: Int64Array, b: Int64Array, counts: Int64Array, seen: Int64Array, starts: Int64Array) -> int:
    """Write the start of each part; returns the count of parts. `seen` has the last part that a document is in."""
    parts = pairs = shingles = 0
    for pair in range(len(a)):
        one, other = a[pair], b[pair]
        more = counts[one] * (seen[one] != parts) + counts[other] * (seen[other] != parts)
        if pair == 0 or pairs == PAIRS_AT_ONCE or shingles + more > SHINGLES_AT_ONCE:
            starts[parts] = pair
            parts += 1
            pairs, shingles, more = 0, 0, counts[one] + counts[other]
        seen[one] = seen[other] = parts
        pairs += 1
        shingles += more
    return parts

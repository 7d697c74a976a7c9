"""Exact Jaccard similarity of hashed shingles, read from the index by byte range."""

import os
from collections.abc import Iterator, Sequence
from io import BufferedIOBase
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from pipeline.dedup import minhash
from pipeline.dedup.minhash import SHINGLE_BYTES, Bytes, Words64
from pipeline.storage import files
from pipeline.storage.files import InputError
from tokenizer.compiled import compiled

PAIRS_AT_ONCE = 50_000
SHINGLES_AT_ONCE = 250_000
_FAR = np.iinfo(np.int64).max

PLACES = np.dtype([("number", "<u4"), ("shard", "<u4"), ("start", "<i8"), ("count", "<i8")])
"""Where a document's shingles lie: `start` and `count` in shingles."""

Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.void]
Similarities = npt.NDArray[np.float64]


class Sets(NamedTuple):
    """Sets of shingles in one array: those of set i, distinct, are `hashes[starts[i]:ends[i]]`."""

    hashes: Words64
    starts: Numbers
    ends: Numbers


def load() -> None:
    """Fetch the compiled code."""
    found = np.zeros(1, PLACES)
    for _ in cut(np.zeros(1, np.int64), np.zeros(1, np.int64), found["count"]):
        jaccard(read_sets([os.devnull], found), np.zeros(1, np.int64), np.zeros(1, np.int64))


def similarities(shingles: Sequence[str], places: Places, a: Numbers, b: Numbers, least: float = 0.0) -> Similarities:
    """The similarity of the documents at places[a[i]] and places[b[i]], 0 where it is below `least`.

    `shingles` are the .bin files of all shards. A bounded number of shingles is read at a time; a document's are read once where its pairs
    stand together.
    """
    out = np.empty(len(a), np.float64)
    used, a, b = _renumbered(a, b)
    found = np.array(places[used])
    for part in cut(a, b, found["count"]):
        mine, one, other = _renumbered(a[part], b[part])
        out[part] = jaccard(read_sets(shingles, found[mine]), one, other, least)
    return out


def _renumbered(a: Numbers, b: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """The distinct values of both, ascending, and where each stands among them; takes room for all between the least and the greatest."""
    least = min(a.min(initial=_FAR), b.min(initial=_FAR))
    a, b = a - least, b - least
    places = np.zeros(max(a.max(initial=-1), b.max(initial=-1)) + 1, np.int64)
    places[a] = places[b] = 1
    used = np.flatnonzero(places)
    places[used] = np.arange(len(used))
    return used + least, places[a], places[b]


def read_sets(shingles: Sequence[str], found: Places) -> Sets:
    """The sets of the documents at the places `found`, from the .bin files of all shards."""
    counts = found["count"].astype(np.int64)
    starts = np.cumsum(counts) - counts
    hashes = np.empty(int(counts.sum()), np.uint64)
    order = np.lexsort((found["start"], found["shard"]))
    begins = np.flatnonzero(np.diff(found["shard"][order])) + 1
    for mine in np.split(order, begins) if len(order) else []:
        sizes = counts[mine]
        packed = _read(shingles[found["shard"][mine[0]]], found["start"][mine] * SHINGLE_BYTES, sizes * SHINGLE_BYTES)
        minhash.unpack(packed, np.cumsum(sizes) - sizes, sizes, hashes, starts[mine])
    ends = np.empty(len(starts), np.int64)
    _make_distinct(hashes, starts, counts, ends, _table(counts))
    return Sets(hashes, starts, ends)


def _read(path: str, starts: Numbers, sizes: Numbers) -> Bytes:
    """Some ranges of a file, ascending, one after the other."""
    data, end = np.empty(int(sizes.sum()), np.uint8), 0
    with files.open_input(path, buffered=False) as file:
        raw, room = cast("BufferedIOBase", file), data.data
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            raw.seek(start)
            end += raw.readinto(room[end : end + size])
    if end != len(data):
        raise InputError(f"{path}: ends before byte {starts[-1] + sizes[-1]:,}; run the stage again that wrote it")
    return data


def jaccard(sets: Sets, a: Numbers, b: Numbers, least: float = 0.0) -> Similarities:
    """The similarity of sets a[i] and b[i], 0 where it is below `least`; quickest where equal a stand together."""
    out = np.empty(len(a), np.float64)
    _jaccard(sets, a, b, least, _table(sets.ends - sets.starts), out)
    return out


def _table(counts: Numbers) -> Words64:
    """Room for the hash table of the largest set: at least twice its size, a power of two."""
    return np.empty(2 << int(counts.max(initial=1)).bit_length(), np.uint64)


@compiled
def _clear(table: Words64, count: int) -> np.uint64:
    """Empty as much of the table as `count` values need; the mask of its slots."""
    size = np.uint64(2)
    while size < 2 * count:
        size *= np.uint64(2)
    table[:size] = 0
    return size - np.uint64(1)


@compiled
def _slot(table: Words64, mask: np.uint64, value: np.uint64) -> np.uint64:
    """Where the value stands or would stand. Values are hashes already, their low bits as good as any; a slot holds one more than they."""
    slot = value & mask
    while table[slot] != 0 and table[slot] != value + np.uint64(1):
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _make_distinct(hashes: Words64, starts: Numbers, counts: Numbers, ends: Numbers, table: Words64) -> None:
    """Move the distinct values of each set to its front; `ends` says where they end."""
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
def _jaccard(sets: Sets, a: Numbers, b: Numbers, least: float, table: Words64, out: Similarities) -> None:
    """Two sets of x and y values are `least` alike only if they share least / (1 + least) * (x + y): a pair is left once it cannot."""
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
        apart, may_be_apart = 0, int(y - needed)
        for i in range(sets.starts[other], sets.ends[other]):
            apart += table[_slot(table, mask, sets.hashes[i])] == 0
            if apart > may_be_apart:
                break
        else:
            alike = (y - apart) / (x + apart)
            out[pair] = alike if alike >= least else 0.0


def cut(a: Numbers, b: Numbers, counts: Numbers) -> Iterator[slice]:
    """Cut pairs of documents into parts of bounded pairs and shingles; `counts` are the shingles of each document."""
    starts = np.empty(len(a) + 1, np.int64)
    parts = _cut(a, b, counts, np.full(len(counts), -1), starts)
    yield from (slice(start, stop) for start, stop in pairwise([*starts[:parts].tolist(), len(a)]))


@compiled
def _cut(a: Numbers, b: Numbers, counts: Numbers, seen: Numbers, starts: Numbers) -> int:
    """Write where each part starts; returns how many there are. `seen` remembers the last part that a document is in."""
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

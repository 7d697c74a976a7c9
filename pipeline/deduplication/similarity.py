"""Exact Jaccard similarity of hashed shingles, for candidate pairs, read from the index by byte range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import arrays, files, minhash
from pipeline.deduplication.census import Census, Numbers
from pipeline.minhash import SHINGLE_BYTES, Words64
from pipeline.parts import Part, PartWriter
from tokenizer.compiled import compiled

PAIRS_A_PART = 50_000
SHINGLES_A_PART = 500_000
GAP_BYTES = 1 << 16
READ_BYTES = 1 << 20

PLACES = np.dtype([("number", "<u4"), ("shard", "<u4"), ("start", "<i8"), ("count", "<i8")])
"""Where a document's shingles lie: `start` and `count` in shingles."""
EDGES = np.dtype([("a", "<u4"), ("b", "<u4"), ("similarity", "<f4")])


def places(census: Census, numbers: Numbers) -> npt.NDArray[np.void]:
    """Where the shingles of documents lie."""
    found = np.empty(len(numbers), PLACES)
    flat = census.flat_rows[numbers]
    found["number"] = numbers
    found["shard"] = np.searchsorted(census.starts, flat, side="right") - 1
    for shard in np.unique(found["shard"]):
        starts, counts = census.shards[shard].extents()
        mine = np.flatnonzero(found["shard"] == shard)
        rows = flat[mine] - census.starts[shard]
        found["start"][mine], found["count"][mine] = starts[rows], counts[rows]
    return found


class Sets(NamedTuple):
    """Sets of shingles in one array: those of set i, distinct, are `hashes[starts[i]:ends[i]]`."""

    hashes: Words64
    starts: Numbers
    ends: Numbers


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate pairs to check: `pairs` and the `places` of their documents (by number), as files; the .bin file of every shard."""

    pairs: str
    places: str
    shingles: tuple[str, ...]


@dataclass(frozen=True)
class Verify:
    """The work of one slice of the candidate pairs: those at least `threshold` alike, as a spilled array of EDGES."""

    threshold: float

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read each document's shingles once, compare."""
        comparison: Comparison = part.work
        pairs, found = arrays.load(comparison.pairs), np.array(arrays.load(comparison.places))
        sets = read_sets(comparison.shingles, found)
        a = np.searchsorted(found["number"], pairs >> np.uint64(32))
        b = np.searchsorted(found["number"], pairs & np.uint64(0xFFFFFFFF))
        similarity = jaccard(sets, a, b)
        alike = similarity >= self.threshold
        edges = np.empty(int(alike.sum()), EDGES)
        edges["a"], edges["b"] = found["number"][a[alike]], found["number"][b[alike]]
        edges["similarity"] = similarity[alike]
        writer.publish("edges", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"edges-{part.key}.npy"))
        writer.counters["pairs_compared"] += len(pairs)
        writer.counters["pairs_alike"] += len(edges)
        writer.advance(len(pairs))


def read_sets(shingles: Sequence[str], found: npt.NDArray[np.void]) -> Sets:
    """The sets of the documents at the places `found`, from the .bin files of all shards."""
    starts = np.cumsum(found["count"]) - found["count"]
    hashes = np.empty(int(found["count"].sum()), np.uint64)
    for shard in np.unique(found["shard"]):
        mine = np.flatnonzero(found["shard"] == shard)
        mine = mine[np.argsort(found["start"][mine])]
        with files.open_input(shingles[shard]) as file:
            for run in _runs(mine, found):
                first, last = int(found["start"][run[0]]), int(found["start"][run[-1]] + found["count"][run[-1]])
                file.seek(first * SHINGLE_BYTES)
                data = np.frombuffer(file.read((last - first) * SHINGLE_BYTES), np.uint8)
                minhash.unpack(data, found["start"][run] - first, found["count"][run], hashes, starts[run])
    ends = np.empty(len(starts), np.int64)
    _make_distinct(hashes, starts, found["count"], ends, _table(found["count"]))
    return Sets(hashes, starts, ends)


def _runs(mine: Numbers, found: npt.NDArray[np.void]) -> list[Numbers]:
    """Documents of one shard, in their order in its file, in runs that are read together."""
    starts, counts = found["start"][mine] * SHINGLE_BYTES, found["count"][mine] * SHINGLE_BYTES
    far = starts[1:] - starts[:-1] - counts[:-1] > GAP_BYTES
    return np.split(mine, np.flatnonzero(far | (np.diff(starts // READ_BYTES) > 0)) + 1)


def jaccard(sets: Sets, a: Numbers, b: Numbers) -> npt.NDArray[np.float64]:
    """The similarity of sets a[i] and b[i]; quickest where equal a stand together."""
    out = np.empty(len(a), np.float64)
    _jaccard(sets, a, b, _table(sets.ends - sets.starts), out)
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
def _jaccard(sets: Sets, a: Numbers, b: Numbers, table: Words64, out: npt.NDArray[np.float64]) -> None:
    mask = np.uint64(0)
    for pair in range(len(a)):
        one, other = a[pair], b[pair]
        count = sets.ends[one] - sets.starts[one]
        if pair == 0 or one != a[pair - 1]:
            mask = _clear(table, count)
            for i in range(sets.starts[one], sets.ends[one]):
                table[_slot(table, mask, sets.hashes[i])] = sets.hashes[i] + np.uint64(1)
        both = 0
        for i in range(sets.starts[other], sets.ends[other]):
            both += table[_slot(table, mask, sets.hashes[i])] != 0
        either = count + sets.ends[other] - sets.starts[other] - both
        out[pair] = both / either if either else 0.0


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
        if pair == 0 or pairs == PAIRS_A_PART or shingles + more > SHINGLES_A_PART:
            starts[parts] = pair
            parts += 1
            pairs, shingles, more = 0, 0, counts[one] + counts[other]
        seen[one] = seen[other] = parts
        pairs += 1
        shingles += more
    return parts

"""Exact Jaccard similarity of hashed shingles, for candidate pairs, read from the index by byte range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import arrays, files, minhash
from pipeline.deduplication.candidates import Pairs
from pipeline.deduplication.census import Census, Numbers
from pipeline.minhash import SHINGLE_BYTES, Words64
from pipeline.parts import Part, PartWriter
from tokenizer.compiled import compiled

PAIRS_A_PART = 50_000
SHINGLES_A_PART = 4_000_000
GAP_BYTES = 1 << 16
READ_BYTES = 1 << 22

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
    """Sets of shingles in one array: those of set i, ascending and distinct, are `hashes[starts[i]:ends[i]]`."""

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
        pairs, found = arrays.load(comparison.pairs), arrays.load(comparison.places)
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
        spans = [(int(s), int(c)) for s, c in zip(found["start"][mine], found["count"][mine], strict=True)]
        for position, data in zip(mine, read_spans(shingles[shard], spans), strict=True):
            minhash.unpack(data, hashes[starts[position] : starts[position] + found["count"][position]])
    return distinct(hashes, starts, found["count"])


def distinct(hashes: Words64, starts: Numbers, counts: Numbers) -> Sets:
    """The sets of the hashes that begin at `starts`, in the same memory."""
    ends = np.empty(len(starts), np.int64)
    for i, (start, count) in enumerate(zip(starts, counts, strict=True)):
        part = hashes[start : start + count]
        part.sort()
        ends[i] = start + _compact(part)
    return Sets(hashes, starts, ends)


def read_spans(path: str, spans: Sequence[tuple[int, int]]) -> Iterator[minhash.Bytes]:
    """The bytes of ascending (start, count) spans of shingles of a .bin file; near ones are read together."""
    with files.open_input(path) as file:
        for run in _runs(spans):
            first, last = run[0][0], run[-1][0] + run[-1][1]
            file.seek(first * SHINGLE_BYTES)
            data = np.frombuffer(file.read((last - first) * SHINGLE_BYTES), np.uint8)
            for start, count in run:
                yield data[(start - first) * SHINGLE_BYTES : (start - first + count) * SHINGLE_BYTES]


def _runs(spans: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    run: list[tuple[int, int]] = []
    for start, count in spans:
        if run and (
            (start - run[-1][0] - run[-1][1]) * SHINGLE_BYTES > GAP_BYTES or (start - run[0][0]) * SHINGLE_BYTES > READ_BYTES
        ):
            yield run
            run = []
        run.append((start, count))
    if run:
        yield run


def jaccard(sets: Sets, a: Numbers, b: Numbers) -> npt.NDArray[np.float64]:
    """The similarity of sets a[i] and b[i]."""
    out = np.empty(len(a), np.float64)
    _jaccard(sets, a, b, out)
    return out


@compiled
def _compact(ordered: Words64) -> int:
    """Move the distinct values of an ascending array to its front; returns how many they are."""
    count = np.uint64(0)
    for i in range(np.uint64(len(ordered))):
        if i == 0 or ordered[i] != ordered[count - np.uint64(1)]:
            ordered[count] = ordered[i]
            count += np.uint64(1)
    return int(count)


@compiled
def _jaccard(sets: Sets, a: Numbers, b: Numbers, out: npt.NDArray[np.float64]) -> None:
    for pair in range(len(a)):
        i, end_i = np.uint64(sets.starts[a[pair]]), np.uint64(sets.ends[a[pair]])
        j, end_j = np.uint64(sets.starts[b[pair]]), np.uint64(sets.ends[b[pair]])
        either = (end_i - i) + (end_j - j)
        both = np.uint64(0)
        while i < end_i and j < end_j:
            one, other = sets.hashes[i], sets.hashes[j]
            both += np.uint64(one == other)
            i += np.uint64(one <= other)
            j += np.uint64(other <= one)
        out[pair] = both / (either - both) if either else 0.0


def slices(pairs: Pairs, counts: tuple[Numbers, Numbers]) -> Iterator[slice]:
    """Cut ascending pairs into parts of bounded pairs and shingles; `counts` are the shingles of either document of each pair."""
    new = np.ones(len(pairs), bool)
    new[1:] = np.diff(pairs >> np.uint64(32)) > 0
    weight = np.cumsum(counts[1] + np.where(new, counts[0], 0))
    start = 0
    while start < len(pairs):
        before = weight[start - 1] if start else 0
        stop = int(np.searchsorted(weight, before + SHINGLES_A_PART, side="right"))
        stop = min(max(stop, start + 1), start + PAIRS_A_PART)
        yield slice(start, stop)
        start = stop

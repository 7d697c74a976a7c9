"""Exact Jaccard similarity of hashed shingles, for candidate pairs, read from the index by byte range."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline import arrays, files, minhash
from pipeline.candidates import Pairs
from pipeline.census import Census
from pipeline.compiled import compiled
from pipeline.minhash import SHINGLE_BYTES, Words64
from pipeline.parts import Part, PartWriter

PAIRS_A_PART = 20_000
SHINGLES_A_PART = 8_000_000
GAP_BYTES = 1 << 16

PLACES = np.dtype([("number", "<u4"), ("shard", "<u4"), ("start", "<i8"), ("count", "<i8")])
"""Where a document's shingles lie: `start` and `count` in shingles."""
EDGES = np.dtype([("a", "<u4"), ("b", "<u4"), ("similarity", "<f4")])


def places(census: Census, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate pairs to check: `pairs` and the `places` of their documents (by number), as files."""

    pairs: str
    places: str


@dataclass(frozen=True)
class Verify:
    """The work of one slice of the candidate pairs: those at least `threshold` alike, as a spilled array of EDGES."""

    shards: tuple[str, ...]
    threshold: float

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read each document's shingles once, compare."""
        pairs, found = arrays.load(part.work.pairs), arrays.load(part.work.places)
        sets, starts = self._sets(found)
        a = np.searchsorted(found["number"], pairs >> np.uint64(32))
        b = np.searchsorted(found["number"], pairs & np.uint64(0xFFFFFFFF))
        similarity = jaccard(sets, starts, a, b)
        alike = similarity >= self.threshold
        edges = np.empty(int(alike.sum()), EDGES)
        edges["a"], edges["b"] = found["number"][a[alike]], found["number"][b[alike]]
        edges["similarity"] = similarity[alike]
        writer.publish("edges", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"edges-{part.key}.npy"))
        writer.counters["pairs_compared"] += len(pairs)
        writer.counters["pairs_alike"] += len(edges)
        writer.advance(len(pairs))

    def _sets(self, found: npt.NDArray[np.void]) -> tuple[Words64, npt.NDArray[np.int64]]:
        """Each document's distinct shingles, ascending, one after another in one array; and where each begins."""
        sets: list[Words64] = [np.empty(0, np.uint64)] * len(found)
        for shard in np.unique(found["shard"]):
            mine = np.flatnonzero(found["shard"] == shard)
            mine = mine[np.argsort(found["start"][mine])]
            spans = [(int(s), int(c)) for s, c in zip(found["start"][mine], found["count"][mine], strict=True)]
            for position, hashes in zip(mine, read_spans(self.shards[shard], spans), strict=True):
                sets[position] = np.unique(hashes)
        starts = np.zeros(len(sets) + 1, np.int64)
        np.cumsum([len(s) for s in sets], out=starts[1:])
        return np.concatenate(sets), starts


def read_spans(path: str, spans: Sequence[tuple[int, int]]) -> Iterator[Words64]:
    """The shingles of ascending (start, count) spans of a .bin file; near ones are read together."""
    with files.open_input(path) as file:
        for run in _runs(spans):
            first, last = run[0][0], run[-1][0] + run[-1][1]
            file.seek(first * SHINGLE_BYTES)
            data = np.frombuffer(file.read((last - first) * SHINGLE_BYTES), np.uint8)
            for start, count in run:
                yield minhash.unpack(data[(start - first) * SHINGLE_BYTES : (start - first + count) * SHINGLE_BYTES])


def _runs(spans: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    run: list[tuple[int, int]] = []
    for start, count in spans:
        if run and (start - run[-1][0] - run[-1][1]) * SHINGLE_BYTES > GAP_BYTES:
            yield run
            run = []
        run.append((start, count))
    if run:
        yield run


def jaccard(
    sets: Words64, starts: npt.NDArray[np.int64], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The similarity of sets a[i] and b[i], each `sets[starts[k]:starts[k + 1]]`, ascending and distinct."""
    out = np.empty(len(a), np.float64)
    _jaccard(sets, starts, a, b, out)
    return out


@compiled
def _jaccard(
    sets: Words64, starts: npt.NDArray[np.int64], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], out: npt.NDArray[np.float64]
) -> None:
    for pair in range(len(a)):
        i, end_i = starts[a[pair]], starts[a[pair] + 1]
        j, end_j = starts[b[pair]], starts[b[pair] + 1]
        either = (end_i - i) + (end_j - j)
        both = 0
        while i < end_i and j < end_j:
            one, other = sets[i], sets[j]
            both += one == other
            i += one <= other
            j += other <= one
        out[pair] = both / (either - both) if either else 0.0


def slices(pairs: Pairs, counts: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Cut ascending pairs into parts of bounded pairs and shingles; `counts` are the shingles of each pair's two documents."""
    start, weight = 0, 0
    for i in range(len(pairs)):
        if i > start and (i - start >= PAIRS_A_PART or weight + counts[i] > SHINGLES_A_PART):
            yield slice(start, i)
            start, weight = i, 0
        weight += int(counts[i])
    if start < len(pairs):
        yield slice(start, len(pairs))

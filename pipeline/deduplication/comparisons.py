"""Candidate pairs to verified ones: spread so that the pairs of a cluster meet in one part, which reads each document's shingles once.

Documents in any pair are ranked by candidate cluster, then number; a pair of ranks goes to the part of its lesser one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline import arrays, files, shuffle
from pipeline.deduplication import clusters
from pipeline.deduplication.candidates import Pairs
from pipeline.deduplication.census import ABSENT, Census
from pipeline.deduplication.similarity import PLACES, Places, similarities
from pipeline.parts import Part, PartWriter
from pipeline.shuffle import Destinations
from tokenizer.compiled import compiled

SHINGLES_A_PART = 4_000_000
KIND = "ranks"
PLACES_FILE = "places.npy"
EDGES = np.dtype([("a", "<u4"), ("b", "<u4"), ("similarity", "<f4")])
"""A verified pair as it is spilled."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Words32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Files: by number the rank (ABSENT: in no pair); by rank the PLACES of its shingles, and its part. And how many parts."""

    ranks: str
    places: str
    part_of: str
    parts: int

    def spread(self, pairs: str) -> tuple[Pairs, Destinations]:
        """The pairs of a file as ranks, and the part of each."""
        found, ranks, part_of = (np.asarray(arrays.load(path)) for path in (pairs, self.ranks, self.part_of))
        out, part = np.empty_like(found), np.empty(len(found), np.uint32)
        _rank(found, ranks, part_of, out, part)
        return out, part


@compiled
def _rank(pairs: Pairs, ranks: Words32, part_of: Words32, out: Pairs, part: Words32) -> None:
    for i in range(len(pairs)):
        a, b = ranks[pairs[i] >> _HALF], ranks[pairs[i] & _LOW]
        out[i] = np.uint64(a) << _HALF | np.uint64(b)
        part[i] = part_of[a]


class Verified(NamedTuple):
    """Verified pairs: their `ends` (n, 2), numbers of documents, and how similar each is."""

    ends: clusters.Edges
    similarity: clusters.Similarities


def verified(edges: Sequence[str], count: int) -> Verified:
    """The `count` pairs of files of EDGES, read one by one: all mapped at once would be in memory twice."""
    found, end = Verified(np.empty((count, 2), np.int32), np.empty(count, np.float32)), 0
    for path in edges:
        some = arrays.load(path)
        here = slice(end, end := end + len(some))
        found.ends[here, 0], found.ends[here, 1], found.similarity[here] = some["a"], some["b"], some["similarity"]
    return found


def rank(census: Census, pairs: Sequence[str], folder: str) -> Ranking:
    """Rank the documents of all pairs (files of them), in `folder`."""
    count = len(census.numbers)
    order = clusters.by_cluster(count, (np.asarray(arrays.load(path)) for path in pairs))
    ranks = np.full(count, ABSENT, np.uint32)
    ranks[order] = np.arange(len(order), dtype=np.uint32)
    found = places(census, order)
    filled = np.cumsum(found["count"]) // SHINGLES_A_PART
    part_of = np.cumsum(np.diff(filled, prepend=filled[:1]) > 0, dtype=np.uint32)
    return Ranking(
        arrays.spill(files.join(folder, "ranks.npy"), ranks),
        arrays.spill(files.join(folder, PLACES_FILE), found),
        arrays.spill(files.join(folder, "part-of.npy"), part_of),
        int(part_of[-1]) + 1 if len(part_of) else 0,
    )


def places(census: Census, numbers: npt.NDArray[np.integer]) -> Places:
    """Where the shingles of documents lie."""
    found = np.empty(len(numbers), PLACES)
    flat = census.flat_rows[numbers]
    found["number"] = numbers
    found["shard"] = np.searchsorted(census.starts, flat, side="right") - 1
    order = np.argsort(found["shard"], kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(found["shard"][order])) + 1) if len(order) else []:
        shard = int(found["shard"][mine[0]])
        starts, counts = census.shards[shard].extents()
        rows = flat[mine] - census.starts[shard]
        found["start"][mine], found["count"][mine] = starts[rows], counts[rows]
    return found


@dataclass(frozen=True)
class SpreadPairs:
    """The work of some files of pairs (a tuple of paths): the run of their ranks."""

    ranking: Ranking

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Rank, spill."""
        found, destination = map(np.concatenate, zip(*map(self.ranking.spread, part.work), strict=True))
        shuffle.write_run(writer, KIND, found, destination, self.ranking.parts)


@dataclass(frozen=True)
class Compare:
    """The work of one part of the ranking: its pairs at least `threshold` alike, as a spilled array of EDGES."""

    threshold: float
    places: str
    shingles: str

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read each document's shingles once, compare."""
        pairs = arrays.distinct(shuffle.entries(part.work, np.uint64))
        found = arrays.load(self.places)
        a, b = (pairs >> _HALF).astype(np.int64), (pairs & _LOW).astype(np.int64)
        measured = similarities(shuffle.listed(self.shingles), found, a, b, self.threshold)
        alike = np.flatnonzero((measured > 0.0) | (self.threshold == 0.0))
        edges = np.empty(len(alike), EDGES)
        edges["a"], edges["b"] = found["number"][a[alike]], found["number"][b[alike]]
        edges["similarity"] = measured[alike]
        writer.publish("edges", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"edges-{part.key}.npy"))
        writer.counters["pairs_compared"] += len(pairs)
        writer.counters["pairs_alike"] += len(edges)
        writer.advance(len(pairs))

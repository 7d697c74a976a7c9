"""The documents that are in a pair or equal to another, ranked so that those of a cluster stand together: by cluster, then number.

The ranking is cut into parts. One ends where a cluster does, but a cluster too large for one is cut itself: the parts that share one are a
batch, and no document of a batch is like one of another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.dedup import clusters
from pipeline.dedup.census import ABSENT, Census
from pipeline.dedup.clusters import Edges, Numbers, Pairs, Similarities
from pipeline.dedup.similarity import PLACES, Places
from pipeline.engine.shuffle import Destinations
from pipeline.storage import arrays, files
from tokenizer.compiled import compiled

SHINGLES_A_PART = 4_000_000
EDGES = np.dtype([("a", "<u4"), ("b", "<u4"), ("similarity", "<f4")])
"""A verified pair as it is spilled: two ranks."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Ranks = npt.NDArray[np.uint32]


class Batch(NamedTuple):
    """The documents of a batch, known by their places 0 … n-1 in the order of choice; `numbers` has their numbers.

    `address` and `text` have for each the first of the same one, which of a text stands for all: `edges` (m, 2) between such are what is
    alike, by the `similarities`.
    """

    numbers: Numbers
    address: Numbers
    text: Numbers
    edges: Edges
    similarities: Similarities


@dataclass(frozen=True, slots=True)
class Ranking:
    """A folder of files that `write` writes."""

    folder: str

    @property
    def ranks(self) -> str:
        """By number: the rank, ABSENT of the documents that have none."""
        return files.join(self.folder, "ranks.npy")

    @property
    def places(self) -> str:
        """By rank: PLACES."""
        return files.join(self.folder, "places.npy")

    @property
    def part_of(self) -> str:
        """By rank: the part."""
        return files.join(self.folder, "part-of.npy")

    @property
    def begins(self) -> str:
        """By batch: its first rank and its first part; at last, how many ranks and parts there are."""
        return files.join(self.folder, "begins.npy")

    @property
    def parts(self) -> int:
        """How many there are."""
        return int(arrays.load(self.begins)[-1, 1])

    def write(self, census: Census, pairs: Sequence[str]) -> None:
        """Rank the documents of all pairs (files of them), and those that are equal."""
        found = (np.asarray(arrays.load(path)) for path in pairs)
        order, firsts = clusters.by_cluster(census.documents, chain((census.same_address, census.same_text), found))
        ranks = np.full(census.documents, ABSENT, np.uint32)
        ranks[order] = np.arange(len(order), dtype=np.uint32)
        arrays.spill(self.ranks, ranks)
        del ranks
        where = places(census, order)
        arrays.spill(self.places, where)
        where["count"][~census.compared[census.flat_rows[order]]] = 0
        part_of = np.empty(len(order), np.uint32)
        parts = _cut(firsts, where["count"], SHINGLES_A_PART, part_of)
        arrays.spill(self.part_of, part_of)
        begins = np.flatnonzero(firsts & (np.diff(part_of, prepend=np.uint32(ABSENT)) != 0))
        arrays.spill(self.begins, np.array([*zip(begins.tolist(), part_of[begins].tolist(), strict=True), (len(order), parts)]))

    def spread(self, pairs: str) -> tuple[Pairs, Destinations]:
        """The pairs of a file as ranks, and the part of each: that of the lesser rank."""
        found, ranks, part_of = (np.asarray(arrays.load(path)) for path in (pairs, self.ranks, self.part_of))
        out, part = np.empty_like(found), np.empty(len(found), np.uint32)
        _rank(found, ranks, part_of, out, part)
        return out, part

    def batches(self, census: Census, edges: Mapping[int, str]) -> Iterator[Batch]:
        """All of them; `edges` has by part the file of EDGES that was found there."""
        number_of, ranks = arrays.load(self.places)["number"], arrays.load(self.ranks)
        addresses, texts = (_ranked(ranks, same) for same in (census.same_address, census.same_text))
        for (first, part), (last, end) in pairwise(arrays.load(self.begins).tolist()):
            order = np.argsort(number_of[first:last])
            place = np.empty(len(order), np.int32)
            place[order] = np.arange(len(order), dtype=np.int32)
            address, text = (_firsts(place, same, first, last) for same in (addresses, texts))
            found = [arrays.load(edges[i]) for i in range(part, end) if i in edges]
            ends, similarity = _joined(found, place, first)
            yield Batch(number_of[first:last][order].astype(np.int32), address, text, ends, similarity)


@compiled
def _rank(pairs: Pairs, ranks: Ranks, part_of: Ranks, out: Pairs, part: Ranks) -> None:
    for i in range(len(pairs)):
        a, b = ranks[pairs[i] >> _HALF], ranks[pairs[i] & _LOW]
        out[i] = np.uint64(a) << _HALF | np.uint64(b)
        part[i] = part_of[a]


@compiled
def _cut(firsts: npt.NDArray[np.bool_], weights: npt.NDArray[np.int64], most: int, part_of: Ranks) -> int:
    """Number the parts of about `most` at most; returns how many there are."""
    part = held = start = 0
    while start < len(firsts):
        end, size = start + 1, weights[start]
        while end < len(firsts) and not firsts[end]:
            size += weights[end]
            end += 1
        if held and held + size > most:
            part, held = part + 1, 0
        for rank in range(start, end):
            if held >= most and rank > start:
                part, held = part + 1, 0
            held += weights[rank]
            part_of[rank] = part
        start = end
    return part + 1 if len(firsts) else 0


def _ranked(ranks: Ranks, pairs: Pairs) -> Edges:
    """The pairs as ranks (n, 2), ascending."""
    found = np.stack([ranks[side] for side in clusters.unpacked(pairs)], axis=1).astype(np.int32)
    return found[np.argsort(found[:, 0])]


def _firsts(place: Numbers, same: Edges, first: int, last: int) -> Numbers:
    """For each place of a batch, its ranks from `first` to `last`, the first place of the same."""
    found = np.arange(len(place), dtype=np.int32)
    low, high = np.searchsorted(same[:, 0], (first, last))
    equal, other = place[same[low:high] - first].T
    found[other] = equal
    return found


def _joined(edges: Sequence[npt.NDArray[np.void]], place: Numbers, first: int) -> tuple[Edges, Similarities]:
    """Files of EDGES as one array of ends, places of a batch that begins at rank `first`, and their similarities."""
    count = sum(map(len, edges))
    ends, similarity, end = np.empty((count, 2), np.int32), np.empty(count, np.float32), 0
    for some in edges:
        here = slice(end, end := end + len(some))
        ends[here, 0], ends[here, 1], similarity[here] = place[some["a"] - first], place[some["b"] - first], some["similarity"]
    return ends, similarity


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

"""The ranking: the documents that are in a pair or equal to another one, by cluster, then by number.

The ranking is cut into parts. A part ends where a cluster does, but a cluster too large for one part is itself cut. Parts that
share a cluster form a batch, so that no document of a batch is similar to one of another batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from pipeline.dedup import clusters
from pipeline.dedup.census import ABSENT, Census
from pipeline.dedup.choice import Likeness
from pipeline.dedup.clusters import Edges, NodeNumbers, Pairs
from pipeline.dedup.similarity import SHINGLE_PLACES, ShinglePlaces
from pipeline.engine.shuffle import Destinations
from pipeline.storage import arrays, files
from tokenizer.compiled import compiled

SHINGLES_PER_PART = 4_000_000
EDGES = np.dtype([("a", "<u4"), ("b", "<u4"), ("similarity", "<f4")])
"""A verified pair as it is spilled: two ranks."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

RankArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class ClusterBatch:
    """The documents of whole clusters, as nodes 0 … n-1 in the order of preference.

    `numbers` has their numbers. `address` and `text` have for each node the first node with an equal one; the first of a text
    stands for all of it in edges. The spilled edges lie in `edge_files` as ranks from `first_rank` on, and `nodes` has the node
    of each rank.
    """

    numbers: NodeNumbers
    address: NodeNumbers
    text: NodeNumbers
    nodes: NodeNumbers
    first_rank: int
    edge_files: tuple[str, ...]

    def edges(self) -> Iterator[Edges]:
        """The edges between nodes, shape (n, 2), one file at a time."""
        for path in self.edge_files:
            edges = arrays.load(path)
            yield np.stack([self.nodes[edges[end] - self.first_rank] for end in ("a", "b")], axis=1)

    def likeness(self, fixed: int) -> Likeness:
        """Everything that is similar, in memory; the first `fixed` nodes are kept in any case."""
        edge_arrays = [arrays.load(path) for path in self.edge_files]
        count = sum(map(len, edge_arrays))
        ends, similarities, end = np.empty((count, 2), np.int32), np.empty(count, np.float32), 0
        for edges in edge_arrays:
            here = slice(end, end := end + len(edges))
            ends[here, 0], ends[here, 1] = self.nodes[edges["a"] - self.first_rank], self.nodes[edges["b"] - self.first_rank]
            similarities[here] = edges["similarity"]
        return Likeness(self.address, self.text, ends, similarities, fixed)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The folder of the ranking's files, which `write` creates."""

    folder: str

    @property
    def ranks(self) -> str:
        """By number: the rank, or ABSENT."""
        return files.join(self.folder, "ranks.npy")

    @property
    def places(self) -> str:
        """By rank: SHINGLE_PLACES."""
        return files.join(self.folder, "places.npy")

    @property
    def part_of(self) -> str:
        """By rank: the part."""
        return files.join(self.folder, "part-of.npy")

    @property
    def begins(self) -> str:
        """By batch: its first rank and its first part; the last row has the counts of ranks and parts."""
        return files.join(self.folder, "begins.npy")

    @property
    def parts(self) -> int:
        """The count of parts."""
        return int(arrays.load(self.begins)[-1, 1])

    def write(self, census: Census, pair_files: Sequence[str]) -> None:
        """Rank the documents of all pairs, and those that are equal to another one."""
        pairs = (np.asarray(arrays.load(path)) for path in pair_files)
        order, firsts = clusters.by_cluster(census.documents, chain((census.same_address, census.same_text), pairs))
        ranks = np.full(census.documents, ABSENT, np.uint32)
        ranks[order] = np.arange(len(order), dtype=np.uint32)
        arrays.spill(self.ranks, ranks)
        del ranks
        places = shingle_places(census, order)
        arrays.spill(self.places, places)
        places["count"][~census.compared[census.flat_rows[order]]] = 0
        part_of = np.empty(len(order), np.uint32)
        parts = _cut(firsts, places["count"], SHINGLES_PER_PART, part_of)
        arrays.spill(self.part_of, part_of)
        begins = np.flatnonzero(firsts & (np.diff(part_of, prepend=np.uint32(ABSENT)) != 0))
        arrays.spill(self.begins, np.array([*zip(begins.tolist(), part_of[begins].tolist(), strict=True), (len(order), parts)]))

    def spread(self, pair_file: str) -> tuple[Pairs, Destinations]:
        """The pairs of a file as ranks, and the part of each: that of the lesser rank."""
        pairs, ranks, part_of = (np.asarray(arrays.load(path)) for path in (pair_file, self.ranks, self.part_of))
        out, part = np.empty_like(pairs), np.empty(len(pairs), np.uint32)
        _rank(pairs, ranks, part_of, out, part)
        return out, part

    def batches(self, census: Census, edge_files: Mapping[int, str]) -> Iterator[ClusterBatch]:
        """All batches; `edge_files` has the file of EDGES of each part."""
        number_of, ranks = arrays.load(self.places)["number"], arrays.load(self.ranks)
        addresses, texts = (_rank_pairs(ranks, same) for same in (census.same_address, census.same_text))
        for (first, part), (last, end) in pairwise(arrays.load(self.begins).tolist()):
            order = np.argsort(number_of[first:last])
            nodes = np.empty(len(order), np.int32)
            nodes[order] = np.arange(len(order), dtype=np.int32)
            address, text = (_first_nodes(nodes, same, first, last) for same in (addresses, texts))
            paths = tuple(edge_files[i] for i in range(part, end) if i in edge_files)
            yield ClusterBatch(number_of[first:last][order].astype(np.int32), address, text, nodes, first, paths)


@compiled
def _rank(pairs: Pairs, ranks: RankArray, part_of: RankArray, out: Pairs, part: RankArray) -> None:
    for i in range(len(pairs)):
        a, b = ranks[pairs[i] >> _HALF], ranks[pairs[i] & _LOW]
        out[i] = np.uint64(a) << _HALF | np.uint64(b)
        part[i] = part_of[a]


@compiled
def _cut(firsts: npt.NDArray[np.bool_], weights: npt.NDArray[np.int64], most: int, part_of: RankArray) -> int:
    """Assign ranks to parts of at most about `most` shingles; returns the count of parts."""
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


def _rank_pairs(ranks: RankArray, pairs: Pairs) -> Edges:
    """The pairs as ranks (n, 2), ascending."""
    ranked = np.stack([ranks[side] for side in clusters.unpack_pairs(pairs)], axis=1).astype(np.int32)
    return ranked[np.argsort(ranked[:, 0])]


def _first_nodes(nodes: NodeNumbers, same: Edges, first: int, last: int) -> NodeNumbers:
    """For each node of the batch with ranks from `first` to `last` the first node that is equal to it."""
    firsts = np.arange(len(nodes), dtype=np.int32)
    low, high = np.searchsorted(same[:, 0], (first, last))
    equal, other = nodes[same[low:high] - first].T
    firsts[other] = equal
    return firsts


def shingle_places(census: Census, numbers: npt.NDArray[np.integer]) -> ShinglePlaces:
    """Where the shingles of the documents with these numbers lie."""
    places = np.empty(len(numbers), SHINGLE_PLACES)
    flat = census.flat_rows[numbers]
    places["number"] = numbers
    places["shard"] = np.searchsorted(census.starts, flat, side="right") - 1
    order = np.argsort(places["shard"], kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(places["shard"][order])) + 1) if len(order) else []:
        shard = int(places["shard"][members[0]])
        starts, counts = census.shards[shard].extents()
        rows = flat[members] - census.starts[shard]
        places["start"][members], places["count"][members] = starts[rows], counts[rows]
    return places

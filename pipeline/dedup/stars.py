"""Connected components by alternating large-star and small-star rounds (Kiveris et al. 2014), for more edges than one worker should hold.

An edge is a row (a, b). Every round groups the edges by node; the end is a forest of stars, each around its least node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.dedup.clusters import Edges, Numbers
from pipeline.engine.parts import Part, Place, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.shuffle import ShuffleToParts, entries, split_by
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays, files

ROUNDS = 40
"""A chain of 5,000 takes 14, shuffled 11, clusters of near-duplicates 3; the number grows with the logarithm of the longest path."""
EDGES_A_PART = 4_000_000
_EDGE = np.dtype((np.int32, (2,)))


def large_star(edges: Edges) -> Edges:
    """Join every node's greater neighbours to its least neighbour (or itself); `edges` are all those of some nodes, from their side."""
    return _stars(edges, larger=True)


def small_star(edges: Edges) -> Edges:
    """Join every node and its lesser neighbours to the least of them."""
    return _stars(edges, larger=False)


def components(count: int, edges: Sequence[Edges], rounds: int = ROUNDS) -> Numbers:
    """For each of `count` nodes the least node that the edges join it to, by rounds of stars in this process."""
    joined = _distinct(np.concatenate(edges))
    for _ in range(rounds):
        before = joined
        joined = _distinct(large_star(_both(joined)))
        joined = _distinct(small_star(_both(joined)))
        if len(before) == len(joined) and (before == joined).all():
            return _labels(count, joined)
    raise _endless(len(joined), rounds)


@dataclass(frozen=True)
class BeamStars:
    """The same with every round a Beam pipeline, the edges in files between them."""

    place: Place
    engine: Engine
    rounds: int = ROUNDS
    edges_a_part: int = EDGES_A_PART

    def components(self, count: int, edges: Sequence[Edges]) -> Numbers:
        """For each of `count` nodes the least node that the edges join it to. Raises RuntimeError where the rounds do not suffice."""
        joined = _distinct(np.concatenate(edges).astype(np.int32, copy=False))
        parts = 1 + 2 * len(joined) // self.edges_a_part
        files.make_folder(self.place.work_folder)
        sources = []
        for i, piece in enumerate(np.array_split(joined, parts)):
            sources.append(arrays.spill(files.join(self.place.work_folder, f"edges-{i:05d}.npy"), piece))
        before: list[int] = []
        for turn in range(self.rounds):
            sources, _ = self._round(f"large-{turn:02d}", sources, parts, StarWork(larger=True))
            sources, digests = self._round(f"small-{turn:02d}", sources, parts, StarWork(larger=False))
            if digests == before:
                return _labels(count, np.concatenate([arrays.load(path) for path in sources]))
            before = digests
        raise _endless(len(joined), self.rounds)

    def _round(self, phase: str, sources: list[str], parts: int, work: "StarWork") -> tuple[list[str], list[int]]:
        place = self.place.next(f"{self.place.phase}-{phase}")
        split = partial(split_edges, parts=parts)
        receipts = self.engine.run_parts(
            place, numbered(range(parts)), ShuffleToParts(place, tuple(sources), split, work), "parts of edges"
        )
        return [receipt.path(place, "stars") for receipt in receipts], [receipt.counters["digest"] for receipt in receipts]


def split_edges(path: str, parts: int) -> Iterator[tuple[str, bytes]]:
    """The edges of a file, from either side, to the part of their first node."""
    edges = _both(arrays.load(path))
    yield from split_by(edges, edges[:, 0] % parts, parts)


@dataclass(frozen=True)
class StarWork:
    """The work of a round for some of the nodes."""

    larger: bool

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Stars of the part's nodes, and a digest by which two rounds' edges are compared."""
        edges = _distinct(_stars(entries(part.work, _EDGE), larger=self.larger))
        writer.publish("stars", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"stars-{part.key}.npy"))
        mixed = (edges[:, 0].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ edges[:, 1].astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
        writer.counters["digest"] = int(np.bitwise_xor.reduce(mixed, initial=np.uint64(0))) >> 1
        writer.counters["edges"] = len(edges)


def _stars(edges: Edges, *, larger: bool) -> Edges:
    if not len(edges):
        return edges
    edges = edges[np.argsort(edges[:, 0], kind="stable")]
    nodes, starts = np.unique(edges[:, 0], return_index=True)
    least = np.minimum(np.minimum.reduceat(edges[:, 1], starts), nodes)
    centre = np.repeat(least, np.diff([*starts, len(edges)]))
    above = edges[:, 1] > edges[:, 0]
    if larger:
        return np.stack([edges[above, 1], centre[above]], axis=1)
    spokes = np.stack([edges[~above, 1], centre[~above]], axis=1)
    return np.concatenate([spokes, np.stack([nodes, least], axis=1)])


def _both(edges: Edges) -> Edges:
    return np.concatenate([edges, edges[:, ::-1]])


def _distinct(edges: Edges) -> Edges:
    """Without loops and repeats, the greater node first, ascending."""
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)[:, ::-1]
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges = edges[order]
    new = np.ones(len(edges), bool)
    new[1:] = (edges[1:] != edges[:-1]).any(axis=1)
    return edges[new]


def _labels(count: int, stars: Edges) -> Numbers:
    labels = np.arange(count, dtype=np.int32)
    labels[stars[:, 0]] = stars[:, 1]
    return labels


def _endless(edges: int, rounds: int) -> RuntimeError:
    return RuntimeError(f"clusters of {edges} edges are not joined after {rounds} rounds of stars: the chains are too long")

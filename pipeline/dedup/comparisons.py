"""From candidate pairs to verified pairs: a cluster's pairs share a part, which reads each document once."""

from dataclasses import dataclass

import numpy as np

from pipeline.dedup.clusters import unpack_pairs
from pipeline.dedup.ranking import EDGES, Ranking
from pipeline.dedup.similarity import similarities
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays

KIND = "ranks"


@dataclass(frozen=True)
class SpreadPairs:
    """Work on some files of pairs (a tuple of paths): a run of the pairs as ranks, by part of the ranking."""

    ranking: Ranking

    def __call__(self, part: Part[tuple[str, ...]], writer: PartWriter) -> None:
        """Rank, spill."""
        pairs, destination = map(np.concatenate, zip(*map(self.ranking.spread, part.work), strict=True))
        shuffle.write_run(writer, KIND, pairs, destination, self.ranking.parts)


@dataclass(frozen=True)
class Compare:
    """Work on one part of the ranking: its pairs that are at least `threshold` similar, as a spilled array of EDGES.

    `shingles` is a listing of the .bin files of all shards.
    """

    threshold: float
    ranking: Ranking
    shingles: str

    def __call__(self, part: Part[RunSlices], writer: PartWriter) -> None:
        """Read each document's shingles once, compare."""
        a, b = unpack_pairs(arrays.distinct(shuffle.entries(part.work, np.uint64)))
        jaccard = similarities(shuffle.read_paths(self.shingles), arrays.load(self.ranking.places), a, b, self.threshold)
        similar = np.flatnonzero((jaccard > 0.0) | (self.threshold == 0.0))
        edges = np.empty(len(similar), EDGES)
        edges["a"], edges["b"], edges["similarity"] = a[similar], b[similar], jaccard[similar]
        writer.publish("edges", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"edges-{part.key}.npy"))
        writer.counters["pairs_compared"] += len(a)
        writer.counters["pairs_alike"] += len(edges)
        writer.advance(len(a))

"""Candidate pairs to verified ones: spread so that the pairs of a cluster meet in one part, which reads each document's shingles once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dedup.clusters import unpacked
from pipeline.dedup.ranking import EDGES, Ranking
from pipeline.dedup.similarity import similarities
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays

KIND = "ranks"


@dataclass(frozen=True)
class SpreadPairs:
    """The work of some files of pairs (a tuple of paths): the run of their ranks."""

    ranking: Ranking

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Rank, spill."""
        found, destination = map(np.concatenate, zip(*map(self.ranking.spread, part.work), strict=True))
        shuffle.write_run(writer, KIND, found, destination, self.ranking.parts)


@dataclass(frozen=True)
class Compare:
    """The work of one part of the ranking: its pairs at least `threshold` alike, as a spilled array of EDGES.

    `shingles` lists the .bin files of all shards.
    """

    threshold: float
    ranking: Ranking
    shingles: str

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read each document's shingles once, compare."""
        a, b = unpacked(arrays.distinct(shuffle.entries(part.work, np.uint64)))
        measured = similarities(shuffle.read_paths(self.shingles), arrays.load(self.ranking.places), a, b, self.threshold)
        alike = np.flatnonzero((measured > 0.0) | (self.threshold == 0.0))
        edges = np.empty(len(alike), EDGES)
        edges["a"], edges["b"], edges["similarity"] = a[alike], b[alike], measured[alike]
        writer.publish("edges", len(edges), lambda f: arrays.write(f, edges), writer.spill_name(f"edges-{part.key}.npy"))
        writer.counters["pairs_compared"] += len(a)
        writer.counters["pairs_alike"] += len(edges)
        writer.advance(len(a))

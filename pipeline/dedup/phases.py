"""The phases of deduplication: sign, pair, rank, compare, decide. Each parallel phase is a `Step` for whoever runs parts.

The stage `dedup` and the transform `Deduplicate` run the same steps in the same order. Steps hand each other files of the phase
folders; what one process does between two steps (the census, the ranking, the decision) is done while the next step is made.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from pipeline.dedup import bands, census, comparisons, decision, ranking
from pipeline.dedup.bands import BandLayout
from pipeline.dedup.candidates import PairUp
from pipeline.dedup.census import Census
from pipeline.dedup.comparisons import Compare, SpreadPairs
from pipeline.dedup.decision import Removal
from pipeline.dedup.index import SPILLED_ROWS, ShardIndex, check_compatible, index_shards
from pipeline.dedup.publish import Publish, ShardDecision
from pipeline.dedup.ranking import Ranking
from pipeline.dedup.removals import NEAR
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.signing import IndexToSpread, ShardToSign, Sign, SpreadBands
from pipeline.dedup.similarity import similarities
from pipeline.engine import shuffle
from pipeline.engine.execute import Work
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.shuffle import WorkParts
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import DocumentShard
from pipeline.storage.verification import check_folder

PAIRS_PER_RUN = 1 << 19
"""About this many pairs are spread to one run, from as many files as hold them: each part that compares opens each run."""


class Step(NamedTuple):
    """A parallel phase: `work` for each of the `parts`. `unit` names the parts' items on the progress line."""

    phase: PhaseFolder
    parts: list[Part[Any]]
    work: Work[Any]
    unit: str


@dataclass(frozen=True)
class Phases:
    """The steps of one run over `documents`. `phase` is the folder of the first phase; the other phases are its siblings."""

    phase: PhaseFolder
    settings: DedupSettings
    documents: tuple[DocumentShard, ...]

    @cached_property
    def earlier(self) -> list[ShardIndex]:
        """The verified indexes of the earlier folders; their texts are not read and may be gone."""
        for folder in self.settings.against:
            check_folder(folder)
        return [shard for folder in self.settings.against for shard in index_shards(folder)]

    @cached_property
    def layout(self) -> BandLayout:
        """How signatures are cut into bands, and the bands spread."""
        documents = sum(shard.documents for shard in self.earlier) + sum(shard.rows for shard in self.documents)
        return BandLayout.of(documents, *self.settings.bands_and_rows)

    def sign(self) -> Step:
        """Sign each document shard: its index and its bands."""
        settings = self.settings
        work = Sign(self.layout, settings.shingle_length, settings.characters, settings.signature_seed, published=settings.index)
        firsts = np.cumsum([sum(shard.documents for shard in self.earlier), *(shard.rows for shard in self.documents)])
        shards = [ShardToSign(shard, int(first)) for shard, first in zip(self.documents, firsts, strict=False)]
        return Step(self._sibling("signatures"), numbered(shards, lambda shard: shard.documents.rows), work, "documents")

    def spread_earlier(self) -> Step:
        """Spread the bands of each index of the earlier folders."""
        starts = census.first_rows(self.earlier).tolist()
        indexes = [IndexToSpread(*pair) for pair in zip(self.earlier, starts, strict=False)]
        return Step(self._sibling("bands"), numbered(indexes), SpreadBands(self.layout), "earlier indexes")

    def take_census(self) -> Census:
        """The census of all documents, once every shard is signed."""
        shards = [
            ShardIndex(part.items, receipt.path(phase, SPILLED_ROWS), receipt.path(phase, "shingles"))
            for phase, part, receipt in _finished(self.sign())
        ]
        for shard in self.earlier if shards else ():
            check_compatible(shards[0], shard)
        return census.take_census(shards, self.earlier)

    def pair(self, everyone: Census, merge: WorkParts) -> Step:
        """Find the candidate pairs of each bucket of bands, once all bands are spread. `merge` runs parts that merge runs."""
        work = PairUp(self._path("candidates", "numbers.npy"), sum(shard.documents for shard in self.earlier))
        arrays.spill(work.numbers, everyone.compared_numbers())
        steps = (self.spread_earlier(), self.sign())
        runs = [receipt.path(phase, bands.KIND) for step in steps for phase, _, receipt in _finished(step)]
        parts = shuffle.gather(self.phase, "candidates", bands.KIND, runs, self.layout.buckets, merge)
        return Step(self._sibling("candidates"), parts, work, "buckets of bands")

    def spread_pairs(self, everyone: Census, paired: Iterable[str]) -> Step:
        """Rank the documents of all pairs, and spread the pairs by rank; `paired` are the finished parts of `pair`."""
        phase = self._sibling("candidates")
        receipts = [Receipt.load(phase, key) for key in paired]
        paths = [receipt.path(phase, "pairs") for receipt in receipts]
        self._ranking.write(everyone, paths)
        shuffle.write_paths(self._shingle_listing, [shard.shingles for shard in everyone.shards])
        groups = numbered(group_by_rows(paths, [receipt.files[0].rows for receipt in receipts], PAIRS_PER_RUN))
        return Step(self._sibling("pairs"), groups, SpreadPairs(self._ranking), "files of pairs")

    def compare(self, spread: Iterable[str], merge: WorkParts) -> Step:
        """Measure the similarity of each pair; `spread` are the finished parts of `spread_pairs`."""
        phase, kind = self._sibling("pairs"), comparisons.KIND
        runs = [Receipt.load(phase, key).path(phase, kind) for key in spread]
        parts = shuffle.gather(self.phase, "similarity", kind, runs, self._ranking.parts, merge)
        work = Compare(self.settings.threshold, self._ranking, self._shingle_listing)
        return Step(self._sibling("similarity"), parts, work, "parts of pairs")

    def decide(self, everyone: Census, compared: Iterable[str], *, shards_per_part: int = 1) -> Step:
        """Decide which documents are removed, and publish that for each shard; `compared` are the finished parts of `compare`."""
        batches = self._ranking.batches(everyone, self._edge_files(compared))
        remove = self.settings.remove_duplicates
        removal = decision.decide(everyone, batches, transitive=self.settings.transitive, remove=remove)
        path = self._path("decision", "removed.arrow")
        decision.spill_removed(path, decision.removed_tables(everyone, self._complete(everyone, removal), len(self.documents)))
        own = numbered(everyone.shards[len(everyone.shards) - len(self.documents) :])
        shards = [ShardDecision(part.key, part.work.rows, path, i) for i, part in enumerate(own)]
        parts = numbered(tuple(shards[i : i + shards_per_part]) for i in range(0, len(shards), shards_per_part))
        return Step(self.phase, parts, Publish(keeps_duplicates=remove != NEAR), "shards")

    @property
    def _ranking(self) -> Ranking:
        return Ranking(self._sibling("similarity").work_folder)

    @property
    def _shingle_listing(self) -> str:
        return self._path("similarity", "shingles.list")

    def _edge_files(self, keys: Iterable[str]) -> dict[int, str]:
        """The file of verified pairs of each part."""
        phase = self._sibling("similarity")
        return {int(key.partition("-")[0]): Receipt.load(phase, key).path(phase, "edges") for key in keys}

    def _complete(self, everyone: Census, removal: Removal) -> Removal:
        """The removal with the similarities that the decision did not need."""
        unknown = np.flatnonzero(np.isnan(removal.similarity))
        if not len(unknown):
            return removal
        involved = np.unique(np.concatenate([removal.numbers[unknown], removal.kept[unknown]]))
        removed, kept = (np.searchsorted(involved, side[unknown]) for side in (removal.numbers, removal.kept))
        similarity = removal.similarity.copy()
        shingles = [shard.shingles for shard in everyone.shards]
        similarity[unknown] = similarities(shingles, ranking.shingle_places(everyone, involved), removed, kept)
        return replace(removal, similarity=similarity)

    def _sibling(self, phase: str) -> PhaseFolder:
        return self.phase.sibling(phase)

    def _path(self, phase: str, name: str) -> str:
        return files.join(self._sibling(phase).work_folder, name)


def _finished(step: Step) -> Iterator[tuple[PhaseFolder, Part[Any], Receipt]]:
    """The parts of a step that is done, with their receipts."""
    for part in step.parts:
        yield step.phase, part, Receipt.load(step.phase, part.key)


def group_by_rows(paths: Sequence[str], rows: Sequence[int], most: int) -> Iterator[tuple[str, ...]]:
    """The files in their order, in groups of about `most` rows.

    >>> list(group_by_rows(["a", "b", "c"], [3, 1, 2], 4))
    [('a', 'b'), ('c',)]
    """
    begins = np.cumsum([0, *rows[:-1]]) // most
    for _, group in groupby(zip(begins.tolist(), paths, strict=True), itemgetter(0)):
        yield tuple(path for _, path in group)

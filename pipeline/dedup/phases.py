"""De-duplication as settings and as one Beam transform. Who goes and who stays is said in `decision`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.dedup import census, clusters, decision, ranking
from pipeline.dedup.bands import Bands
from pipeline.dedup.candidates import PairUp
from pipeline.dedup.census import ABSENT, Census
from pipeline.dedup.comparisons import Compare
from pipeline.dedup.decision import Join, Removal, ShardOutcome, removed_rows
from pipeline.dedup.index import ROWS_AT_HAND, SignedShard, check_alike
from pipeline.dedup.ranking import Ranking
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.signing import Sign, Signed, Unsigned
from pipeline.dedup.similarity import similarities
from pipeline.dedup.spans import FindRepeats, SpanShard
from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import DocumentShard
from pipeline.storage.files import InputError
from pipeline.storage.manifest import load_stage
from pipeline.storage.verification import check_folder


@dataclass(frozen=True)
class Phases:
    """What the phases of a run hand each other, by way of files in its place: the work of one process between two parallel ones."""

    place: PhaseFolder
    settings: DedupSettings
    documents: tuple[DocumentShard, ...]

    @cached_property
    def earlier(self) -> list[SignedShard]:
        """The indexes of the earlier folders, whole: their texts may be gone, and are not looked for."""
        for folder in self.settings.against:
            check_folder(folder)
        return [shard for folder in self.settings.against for shard in index_shards(folder)]

    @cached_property
    def bands(self) -> Bands:
        """How the signatures are cut and spread."""
        documents = sum(shard.documents for shard in self.earlier) + sum(shard.rows for shard in self.documents)
        return Bands.over(documents, *self.settings.cutting)

    def sign(self, *, spread: bool) -> Sign:
        """The work that signs a document shard, and with `spread` writes its bands by bucket."""
        settings, bands = self.settings, self.bands
        words = (settings.shingle_length, settings.characters, settings.signature_seed)
        return Sign(bands.bands * bands.rows, *words, settings.index, bands if spread else None)

    def unsigned(self) -> list[Part[Any]]:
        """A part a document shard."""
        firsts = np.cumsum([sum(shard.documents for shard in self.earlier), *(shard.rows for shard in self.documents)])
        works = [Unsigned(shard, int(first)) for shard, first in zip(self.documents, firsts, strict=False)]
        return numbered(works, lambda work: work.documents.rows)

    def signed_earlier(self) -> list[Part[Any]]:
        """A part an index of the earlier folders."""
        return numbered(Signed(*pair) for pair in zip(self.earlier, census.first_rows(self.earlier).tolist(), strict=False))

    def take_census(self) -> Census:
        """All documents, once every shard is signed."""
        shards = [
            SignedShard(part.items, receipt.path(place, ROWS_AT_HAND), receipt.path(place, "shingles"))
            for part, place, receipt in self.signed()
        ]
        for shard in self.earlier if shards else ():
            check_alike(shards[0], shard)
        return census.take(shards, self.earlier)

    def signed(self) -> Iterator[tuple[Part[Any], PhaseFolder, Receipt]]:
        """The parts of `unsigned`, once signed: where, and what they wrote."""
        place = self.place.sibling("signatures")
        for part in self.unsigned():
            yield part, place, Receipt.load(place, part.key)

    @property
    def pair_up(self) -> PairUp:
        """The work of a bucket of bands."""
        return PairUp(self._path("candidates", "numbers.npy"), sum(shard.documents for shard in self.earlier))

    def number(self, everyone: Census) -> None:
        """Write down what `pair_up` reads."""
        arrays.spill(self.pair_up.numbers, everyone.compared_numbers())

    def pairs(self, keys: Iterable[str]) -> list[str]:
        """The candidate pairs that the finished buckets `keys` found: a file each."""
        place = self.place.sibling("candidates")
        return [Receipt.load(place, key).path(place, "pairs") for key in keys]

    @property
    def ranking(self) -> Ranking:
        """The documents of the pairs in the order in which they are compared and decided."""
        return Ranking(self.place.sibling("similarity").work_folder)

    @property
    def compare(self) -> Compare:
        """The work of a part of the ranking."""
        return Compare(self.settings.threshold, self.ranking, self._path("similarity", "shingles.list"))

    def rank(self, everyone: Census, pairs: Sequence[str]) -> Ranking:
        """Write the ranking, and what else `compare` reads."""
        shuffle.write_paths(self.compare.shingles, [shard.shingles for shard in everyone.shards])
        self.ranking.write(everyone, pairs)
        return self.ranking

    def outcomes(
        self, everyone: Census, keys: Iterable[str], join: Join = clusters.components, *, shards_a_part: int = 1
    ) -> list[Part[Any]]:
        """Who goes by the pairs that the finished parts `keys` verified: parts of so many document shards."""
        batches = self.ranking.batches(everyone, self._edges(keys))
        decided = self._complete(everyone, decision.decide(everyone, batches, transitive=self.settings.transitive, join=join))
        own = everyone.shards[len(everyone.shards) - len(self.documents) :]
        path = self._path("decision", "removed.arrow")
        decision.spill_removed(path, decision.removed_tables(everyone, decided))
        shards = [ShardOutcome(part.key, part.work.rows, path, i) for i, part in enumerate(numbered(own))]
        return numbered(tuple(shards[i : i + shards_a_part]) for i in range(0, len(shards), shards_a_part))

    def span_shards(self, everyone: Census, outcomes: Sequence[Part[Any]]) -> list[SpanShard]:
        """The document shards, the numbers of their rows that are kept beside them."""
        earlier = len(everyone.shards) - len(self.documents)
        shards, numbers = [], everyone.numbers().view(np.uint32)
        for i, removed in enumerate(removed_rows(outcome for part in outcomes for outcome in part.work)):
            mine = numbers[slice(*everyone.starts[earlier + i : earlier + i + 2])]
            mine[removed.column("row").to_numpy()] = ABSENT
            shards.append(SpanShard(self.documents[i], arrays.spill(self._path("spans", f"numbers-{i:05d}.npy"), mine)))
        return shards

    def repeats(self, everyone: Census) -> FindRepeats:
        """The work of a bucket of spans."""
        ends = everyone.starts[len(everyone.shards) - len(self.documents) + 1 :]
        shard_of = np.searchsorted(ends, everyone.flat_rows, side="right").astype(np.uint32)
        return FindRepeats(arrays.spill(self._path("repeats", "shard-of.npy"), shard_of), len(self.documents))

    def _edges(self, keys: Iterable[str]) -> dict[int, str]:
        """The verified pairs by part."""
        place = self.place.sibling("similarity")
        return {int(key.partition("-")[0]): Receipt.load(place, key).path(place, "edges") for key in keys}

    def _complete(self, everyone: Census, decided: Removal) -> Removal:
        """Measure the similarities that the decision did not need."""
        unknown = np.flatnonzero(np.isnan(decided.similarity))
        if not len(unknown):
            return decided
        involved = np.unique(np.concatenate([decided.numbers[unknown], decided.kept[unknown]]))
        removed, kept = (np.searchsorted(involved, side[unknown]) for side in (decided.numbers, decided.kept))
        found = decided.similarity.copy()
        shingles = [shard.shingles for shard in everyone.shards]
        found[unknown] = similarities(shingles, ranking.places(everyone, involved), removed, kept)
        return replace(decided, similarity=found)

    def _path(self, phase: str, name: str) -> str:
        return files.join(self.place.sibling(phase).work_folder, name)


def index_shards(folder: str) -> list[SignedShard]:
    """The index of an earlier dedup folder, its kept documents alone. Raises InputError where it has none."""
    manifest = load_stage(folder, "dedup")
    kinds = [manifest.of_kind(kind) for kind in ("rows", "shingles", "signatures", "keep")]
    if not kinds[0] and kinds[3]:
        raise InputError(f"{folder}: dedup wrote no index there (--no_index); run it there again with --index")
    return [
        SignedShard(entries[-1].rows, *(files.join(folder, entry.name) for entry in entries))
        for entries in zip(*kinds, strict=True)
    ]

"""De-duplication as settings and as one Beam transform. Who goes and who stays is said in `decision`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import PCollection

from pipeline import arrays, files, minhash, paper, shuffle
from pipeline.deduplication import census, clusters, curve, decision, ranking
from pipeline.deduplication.bands import Bands
from pipeline.deduplication.candidates import PairUp
from pipeline.deduplication.census import ABSENT, Census
from pipeline.deduplication.comparisons import Compare
from pipeline.deduplication.decision import Join, Publish, Reason, Removal, ShardOutcome, removed_rows
from pipeline.deduplication.ranking import Ranking
from pipeline.deduplication.signatures import ROWS_AT_HAND, SignedShard, check_alike
from pipeline.deduplication.signing import Sign, Signed, Unsigned
from pipeline.deduplication.similarity import similarities
from pipeline.deduplication.spans import FindRepeats, SpanRules, SpanShard
from pipeline.files import InputError
from pipeline.manifest import load_stage
from pipeline.parts import Part, Place, Receipt, RunParts, numbered
from pipeline.settings import setting
from pipeline.shuffle import WorkPieces, split_by
from pipeline.verification import check_folder
from pipeline.views import DocumentShard

__all__ = ["DedupSettings", "Deduplicate", "Phases", "Reason", "index_shards"]


@dataclass(frozen=True, slots=True)
class DedupSettings:
    """Flags of the stage."""

    threshold: float = setting(paper.NEAR_DUPLICATE_THRESHOLD, "remove documents at least this similar to a kept one (Jaccard)")
    shingle: str = setting("words:5", "compare runs of N words or characters", metavar="words:N|chars:N")
    recall: float = setting(paper.NEAR_DUPLICATE_RECALL, "find this share of the pairs 0.1 above the threshold", metavar="SHARE")
    bands: int = setting(0, "bands of a signature: more find more pairs (0: as the recall asks for)", metavar="N")
    rows: int = setting(8, "minima a band: more find fewer unlike pairs", metavar="N")
    permutations: int = setting(0, "choose bands and rows for the threshold out of so many, as datasketch does", metavar="N")
    signature_seed: int = setting(minhash.SEED, "seed of the permutations, as in datasketch")
    transitive: bool = setting(False, "keep one document of a whole chain of like ones, as other tools do")
    substring: int = setting(0, "cut runs of so many words that an earlier document has too (0: none)", metavar="N")
    paragraphs: int = setting(
        0, "cut paragraphs of at least so many words that an earlier document has too (0: none)", metavar="N"
    )
    index: bool = setting(True, "write the index that a later month is compared with: about as large as the text")
    against: tuple[str, ...] = setting((), "remove also what is in these earlier dedup folders", recorded=False, metavar="DIR")

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"--threshold {self.threshold}: from 0 to 1")
        if self.bands < 0 or self.rows < 1:
            raise ValueError(f"--bands {self.bands} --rows {self.rows}: 0 or more bands, at least 1 row each")
        if self.permutations < 0 or (self.permutations and self.bands):
            raise ValueError(f"--permutations {self.permutations} --bands {self.bands}: 0 or more permutations; one of the two")
        if not 0.0 < self.recall < 1.0:
            raise ValueError(f"--recall {self.recall}: more than 0 and less than 1")
        if self.substring < 0 or self.paragraphs < 0:
            raise ValueError(f"--substring {self.substring} --paragraphs {self.paragraphs}: 0 or more words")
        unit, _, length = self.shingle.partition(":")
        if unit not in {"words", "chars"} or not length.isdecimal() or int(length) < 1:
            raise ValueError(f"--shingle {self.shingle}: words:N or chars:N, N at least 1")

    @property
    def shingle_length(self) -> int:
        """Units a shingle."""
        return int(self.shingle.partition(":")[2])

    @property
    def characters(self) -> bool:
        """Whether the units are characters."""
        return self.shingle.startswith("chars:")

    @property
    def span_rules(self) -> SpanRules | None:
        """What is cut from the documents that are kept."""
        return SpanRules(self.substring, self.paragraphs) if self.substring or self.paragraphs else None

    @property
    def cutting(self) -> tuple[int, int]:
        """The bands and the rows of each: as given, or as the number of permutations or the recall asks for."""
        if self.permutations:
            return curve.optimal_bands(self.threshold, self.permutations)
        if self.bands:
            return self.bands, self.rows
        return curve.cutting_for_recall(self.recall, self.threshold, self.rows)


@dataclass(frozen=True)
class Phases:
    """What the phases of a run hand each other, by way of files in its place: the work of one process between two parallel ones."""

    place: Place
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

    def sign(self, *, spread: bool) -> RunParts:
        """Document shards' parts to the keys of signed ones, their bands spread besides or not."""
        settings, bands = self.settings, self.bands
        words = (settings.shingle_length, settings.characters, settings.signature_seed)
        return RunParts(
            self.place.next("signatures"), Sign(bands.bands * bands.rows, *words, settings.index, bands if spread else None)
        )

    def unsigned(self) -> list[Part]:
        """A part a document shard."""
        firsts = np.cumsum([sum(shard.documents for shard in self.earlier), *(shard.rows for shard in self.documents)])
        works = [Unsigned(shard, int(first)) for shard, first in zip(self.documents, firsts, strict=False)]
        return numbered(works, lambda work: work.documents.rows)

    def signed_earlier(self) -> list[Part]:
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

    def signed(self) -> Iterator[tuple[Part, Place, Receipt]]:
        """The parts of `unsigned`, once signed: where, and what they wrote."""
        place = self.place.next("signatures")
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
        place = self.place.next("candidates")
        return [Receipt.load(place, key).path(place, "pairs") for key in keys]

    @property
    def ranking(self) -> Ranking:
        """The documents of the pairs in the order in which they are compared and decided."""
        return Ranking(self.place.next("similarity").work_folder)

    @property
    def compare(self) -> Compare:
        """The work of a part of the ranking."""
        return Compare(self.settings.threshold, self.ranking, self._path("similarity", "shingles.list"))

    def rank(self, everyone: Census, pairs: Sequence[str]) -> Ranking:
        """Write the ranking, and what else `compare` reads."""
        shuffle.list_paths(self.compare.shingles, [shard.shingles for shard in everyone.shards])
        self.ranking.write(everyone, pairs)
        return self.ranking

    def outcomes(
        self, everyone: Census, keys: Iterable[str], join: Join = clusters.components, *, shards_a_part: int = 1
    ) -> list[Part]:
        """Who goes by the pairs that the finished parts `keys` verified: parts of so many document shards."""
        batches = self.ranking.batches(everyone, self._edges(keys))
        decided = self._complete(everyone, decision.decide(everyone, batches, transitive=self.settings.transitive, join=join))
        own = everyone.shards[len(everyone.shards) - len(self.documents) :]
        path = self._path("decision", "removed.arrow")
        decision.spill_removed(path, decision.removed_tables(everyone, decided))
        shards = [ShardOutcome(part.key, part.work.rows, path, i) for i, part in enumerate(numbered(own))]
        return numbered(tuple(shards[i : i + shards_a_part]) for i in range(0, len(shards), shards_a_part))

    def span_shards(self, everyone: Census, outcomes: Sequence[Part]) -> list[SpanShard]:
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
        place = self.place.next("similarity")
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
        return files.join(self.place.next(phase).work_folder, name)


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


@dataclass
class Deduplicate(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts (a document shard each) to the keys of those whose keep list stands in `place`, all in one graph.

    What is shuffled are keys and numbers, in arrays; signatures, pairs and decisions stand in files of the place, so that a run that was
    broken off goes on. Clusters are joined in one worker; the stage `dedup` can do that in rounds.
    """

    threshold: float = paper.NEAR_DUPLICATE_THRESHOLD
    bands: int = 0
    rows: int = 8
    place: Place = field(kw_only=True)
    documents: tuple[DocumentShard, ...] = field(kw_only=True)
    settings: DedupSettings = field(kw_only=True, default_factory=DedupSettings)

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """Sign, number, pair, verify, decide, publish; a barrier before each step that needs all of the one before."""
        settings = replace(self.settings, threshold=self.threshold, bands=self.bands, rows=self.rows)
        if settings.span_rules:
            raise ValueError("spans are cut by the stage `dedup` alone: leave substring and paragraphs at 0")
        phases = Phases(self.place, settings, self.documents)
        pairing, comparing = self.place.next("candidates"), self.place.next("similarity")
        buckets = (
            parts
            | "Locate" >> beam.Map(partial(_located, {part.key: part for part in phases.unsigned()}))
            | "Sign" >> phases.sign(spread=False)
            | "All signed" >> _Barrier(partial(number, phases))
            | "Bands" >> beam.FlatMap(_spread_bands)
            | "By prefix" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(WorkPieces(pairing, phases.pair_up))
        )
        verified = (
            buckets
            | "All paired" >> _Barrier(partial(rank, phases))
            | "Ranks" >> beam.FlatMap(_spread_pairs)
            | "By rank" >> beam.GroupByKey()
            | "Compare" >> beam.ParDo(WorkPieces(comparing, phases.compare))
        )
        keys: PCollection[str] = (
            verified | "All verified" >> _Barrier(partial(settle, phases)) | "Publish" >> RunParts(self.place, Publish())
        )
        return keys


@dataclass
class _Barrier(beam.PTransform[PCollection[str], PCollection[Any]]):
    """What `step` makes of all keys together, once, also where there are none."""

    step: Callable[[Sequence[str]], Iterable[Any]]

    def expand(self, keys: PCollection[str]) -> PCollection[Any]:
        seed = keys.pipeline | "One" >> beam.Create([""], reshuffle=False)
        found: PCollection[Any] = (
            (seed, keys)
            | "Together" >> beam.Flatten()
            | "One key" >> beam.Map(_same)
            | "Wait" >> beam.GroupByKey()
            | "Step" >> beam.FlatMap(partial(_after, self.step))
        )
        return found


def _same(key: str) -> tuple[int, str]:
    return 0, key


def _after(step: Callable[[Sequence[str]], Iterable[Any]], together: tuple[int, Iterable[str]]) -> Iterable[Any]:
    return step(sorted(key for key in together[1] if key))


def _located(parts: dict[str, Part], part: Part) -> Part:
    return parts[part.key]


def number(phases: Phases, _: Sequence[str]) -> Iterator[tuple[Signed, Bands]]:
    """All shards are signed: number the documents, say whose bands to spread."""
    phases.number(phases.take_census())
    for part, place, receipt in phases.signed():
        index = SignedShard(part.items, "", "", receipt.path(place, "signatures"))
        yield Signed(index, part.work.first), phases.bands
    for part in phases.signed_earlier():
        yield part.work, phases.bands


def rank(phases: Phases, keys: Sequence[str]) -> Iterator[tuple[Ranking, str]]:
    """All buckets are paired: rank the documents, say which pairs to spread."""
    pairs = phases.pairs(keys)
    ranking = phases.rank(phases.take_census(), pairs)
    for path in pairs:
        yield ranking, path


def settle(phases: Phases, keys: Sequence[str]) -> list[Part]:
    """All pairs are verified: decide."""
    return phases.outcomes(phases.take_census(), keys)


def _spread_bands(work: tuple[Signed, Bands]) -> Iterator[tuple[str, bytes]]:
    signed, spec = work
    yield from split_by(*signed.entries(spec), spec.buckets)


def _spread_pairs(work: tuple[Ranking, str]) -> Iterator[tuple[str, bytes]]:
    ranking, pairs = work
    yield from split_by(*ranking.spread(pairs), ranking.parts)

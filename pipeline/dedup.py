"""De-duplication as settings and as one Beam transform. Who goes and who stays is said in `decision`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import PCollection

from pipeline import arrays, files, minhash, paper
from pipeline.deduplication import candidates, census, clusters, curve, decision, similarity
from pipeline.deduplication.candidates import Bands, BandShard, Pairs, PairUp, band_entries
from pipeline.deduplication.census import ABSENT, Census
from pipeline.deduplication.decision import Join, Publish, Reason, Removal, ShardOutcome
from pipeline.deduplication.shuffle import WorkPieces, split_by
from pipeline.deduplication.signatures import Sign, SignedShard, check_alike
from pipeline.deduplication.similarity import EDGES, Comparison, Verify
from pipeline.deduplication.spans import FindRepeats, SpanRules, SpanShard
from pipeline.files import InputError
from pipeline.manifest import load_stage
from pipeline.parts import Part, Place, Receipt, RunParts, numbered, run_part
from pipeline.settings import setting
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

    @property
    def sign(self) -> RunParts:
        """Document shards' parts to the keys of signed ones."""
        settings = self.settings
        bands, rows = settings.cutting
        work = Sign(bands * rows, settings.shingle_length, settings.characters, settings.signature_seed, settings.index)
        return RunParts(self.place.next("signatures"), work)

    def document_parts(self) -> list[Part]:
        """A part a document shard."""
        return numbered(self.documents, lambda shard: shard.rows)

    def take_census(self) -> Census:
        """All documents, once every shard is signed."""
        place = self.place.next("signatures")
        receipts = [Receipt.load(place, part.key) for part in self.document_parts()]
        kinds = ("rows", "signatures", "shingles")
        shards = [SignedShard(*(receipt.path(place, kind) for kind in kinds)) for receipt in receipts]
        earlier = [shard for folder in self.settings.against for shard in index_shards(folder)]
        for shard in earlier if shards else ():
            check_alike(shards[0], shard)
        return census.take(shards, earlier)

    def bands(self, everyone: Census) -> Bands:
        """How the signatures are cut and spread."""
        bands, rows = self.settings.cutting
        buckets = candidates.bucket_count(int(everyone.compared.sum()) * bands)
        return Bands(bands, rows, buckets)

    def band_shards(self, everyone: Census) -> list[BandShard]:
        """The shards whose signatures are to be spread, the numbers of their documents beside them."""
        place = self.place.next("candidates")
        return [
            BandShard(shard.signatures, _spill(place, f"numbers-{i:05d}.npy", everyone.compared_numbers(i)))
            for i, shard in enumerate(everyone.shards)
        ]

    def pairs(self, keys: Iterable[str]) -> Pairs:
        """The candidate pairs that the finished buckets `keys` found."""
        place = self.place.next("candidates")
        found = [arrays.load(Receipt.load(place, key).path(place, "pairs")) for key in keys]
        return arrays.distinct(np.concatenate([np.empty(0, np.uint64), *found]))

    def comparisons(self, phase: str, everyone: Census, pairs: Pairs) -> list[Part]:
        """The pairs cut into parts to verify, those of one cluster together: each document is read once."""
        place = self.place.next(phase)
        first, second = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
        involved = np.zeros(len(everyone.numbers), bool)
        involved[first] = involved[second] = True
        numbers, place_of = np.flatnonzero(involved), np.cumsum(involved) - 1
        ends = np.stack([place_of[first], place_of[second]], axis=1)
        order = np.argsort(clusters.components(len(numbers), ends)[ends[:, 0]], kind="stable")
        pairs, ends = pairs[order], ends[order]
        found = similarity.places(everyone, numbers)
        shingles = tuple(shard.shingles for shard in everyone.shards)
        works = []
        for i, part in enumerate(similarity.cut(ends[:, 0], ends[:, 1], found["count"])):
            used = found[arrays.distinct(ends[part].reshape(-1))]
            listed = _spill(place, f"pairs-{i:05d}.npy", pairs[part])
            works.append(Comparison(listed, _spill(place, f"places-{i:05d}.npy", used), shingles))
        return numbered(works)

    def edges(self, phase: str, keys: Iterable[str]) -> npt.NDArray[np.void]:
        """The verified pairs of the finished parts `keys`."""
        place = self.place.next(phase)
        found = [arrays.load(Receipt.load(place, key).path(place, "edges")) for key in sorted(keys)]
        return np.concatenate([np.empty(0, EDGES), *found])

    def outcomes(self, everyone: Census, edges: npt.NDArray[np.void], join: Join = clusters.components) -> list[Part]:
        """Who goes, a part a document shard."""
        decided = self._complete(everyone, decision.decide(everyone, edges, transitive=self.settings.transitive, join=join))
        own = everyone.shards[len(everyone.shards) - len(self.documents) :]
        works = []
        for i, table in enumerate(decision.removed_tables(everyone, decided)):
            path = files.join(self.place.next("decision").work_folder, f"removed-{i:05d}.parquet")
            files.publish_table(path, table)
            works.append(ShardOutcome(own[i].rows, path))
        return numbered(works)

    def span_shards(self, everyone: Census, outcomes: Sequence[Part]) -> list[SpanShard]:
        """The document shards, the numbers of their rows that are kept beside them."""
        place, earlier = self.place.next("spans"), len(everyone.shards) - len(self.documents)
        shards = []
        for i, (documents, part) in enumerate(zip(self.documents, outcomes, strict=True)):
            numbers = everyone.of_shard(earlier + i).astype(np.uint32)
            numbers[files.read_table(part.work.removed, ["row"]).column("row").to_numpy()] = ABSENT
            shards.append(SpanShard(documents, _spill(place, f"numbers-{i:05d}.npy", numbers)))
        return shards

    def repeats(self, everyone: Census) -> FindRepeats:
        """The work of a bucket of spans."""
        shard_of = np.zeros(len(everyone.numbers), np.uint32)
        earlier = len(everyone.shards) - len(self.documents)
        for i in range(len(self.documents)):
            shard_of[everyone.of_shard(earlier + i)] = i
        return FindRepeats(_spill(self.place.next("repeats"), "shard-of.npy", shard_of), len(self.documents))

    def _complete(self, everyone: Census, decided: Removal) -> Removal:
        """Measure the similarities that the decision did not need."""
        unknown = np.flatnonzero(np.isnan(decided.similarity))
        if not len(unknown):
            return decided
        ends = np.sort(np.stack([decided.numbers[unknown], decided.kept[unknown]], axis=1), axis=1).astype(np.uint64)
        wanted = ends[:, 0] << np.uint64(32) | ends[:, 1]
        place, verify = self.place.next("remainder"), Verify(0.0)
        files.make_folder(place.work_folder)
        parts = self.comparisons("remainder", everyone, np.unique(wanted))
        edges = self.edges("remainder", [run_part(place, verify, part).key for part in parts])
        known = edges["a"].astype(np.uint64) << np.uint64(32) | edges["b"]
        order = np.argsort(known)
        found = decided.similarity.copy()
        found[unknown] = edges["similarity"][order[np.searchsorted(known, wanted, sorter=order)]]
        return replace(decided, similarity=found)


def _spill(place: Place, name: str, array: npt.NDArray[Any]) -> str:
    path = files.join(place.work_folder, name)
    arrays.save(path, array)
    return path


def index_shards(folder: str) -> list[SignedShard]:
    """The index of an earlier dedup folder, its kept documents alone. Raises InputError where it has none."""
    manifest = load_stage(folder, "dedup")
    kinds = [manifest.of_kind(kind) for kind in ("rows", "signatures", "shingles", "keep")]
    if not kinds[0] and kinds[3]:
        raise InputError(f"{folder}: dedup wrote no index there (--no_index); run it there again with --index")
    return [SignedShard(*(files.join(folder, entry.name) for entry in entries)) for entries in zip(*kinds, strict=True)]


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
        pairing = self.place.next("candidates")
        signed = parts | "Sign" >> phases.sign
        buckets = (
            signed
            | "All signed" >> _Barrier(partial(number, phases))
            | "Bands" >> beam.FlatMap(_spread)
            | "By prefix" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(WorkPieces(pairing, PairUp()))
        )
        verify = RunParts(self.place.next("similarity"), Verify(settings.threshold))
        verified = buckets | "All paired" >> _Barrier(partial(plan, phases)) | "Verify" >> verify
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


def number(phases: Phases, _: Sequence[str]) -> Iterator[tuple[BandShard, Bands]]:
    """All shards are signed: number the documents, say whose bands to spread."""
    everyone = phases.take_census()
    bands = phases.bands(everyone)
    for shard in phases.band_shards(everyone):
        yield shard, bands


def plan(phases: Phases, keys: Sequence[str]) -> list[Part]:
    """All buckets are paired: cut the pairs into parts."""
    everyone = phases.take_census()
    pairs = phases.pairs(keys)
    later = (pairs & np.uint64(0xFFFFFFFF)) >= everyone.earlier
    return phases.comparisons("similarity", everyone, pairs[later])


def settle(phases: Phases, keys: Sequence[str]) -> list[Part]:
    """All pairs are verified: decide."""
    return phases.outcomes(phases.take_census(), phases.edges("similarity", keys))


def _spread(shard: tuple[BandShard, Bands]) -> Iterator[tuple[str, bytes]]:
    yield from split_by(*band_entries(*shard), shard[1].buckets)

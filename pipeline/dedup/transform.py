"""TODO-DOC."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from pipeline import paper
from pipeline.dedup.bands import Bands
from pipeline.dedup.decision import Publish
from pipeline.dedup.index import SignedShard
from pipeline.dedup.phases import Phases
from pipeline.dedup.ranking import Ranking
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.signing import Signed
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.shuffle import WorkPieces, split_by
from pipeline.engine.transform import RunParts
from pipeline.storage.document_shards import DocumentShard


@dataclass
class Deduplicate(beam.PTransform[PCollection[Part[Any]], PCollection[str]]):
    """Parts (a document shard each) to the keys of those whose keep list stands in `place`, all in one graph.

    What is shuffled are keys and numbers, in arrays; signatures, pairs and decisions stand in files of the place, so that a run that was
    broken off goes on. Clusters are joined in one worker; the stage `dedup` can do that in rounds.
    """

    threshold: float = paper.NEAR_DUPLICATE_THRESHOLD
    bands: int = 0
    rows: int = 8
    place: PhaseFolder = field(kw_only=True)
    documents: tuple[DocumentShard, ...] = field(kw_only=True)
    settings: DedupSettings = field(kw_only=True, default_factory=DedupSettings)

    def expand(self, parts: PCollection[Part[Any]]) -> PCollection[str]:
        """Sign, number, pair, verify, decide, publish; a barrier before each step that needs all of the one before."""
        settings = replace(self.settings, threshold=self.threshold, bands=self.bands, rows=self.rows)
        if settings.span_rules:
            raise ValueError("spans are cut by the stage `dedup` alone: leave substring and paragraphs at 0")
        phases = Phases(self.place, settings, self.documents)
        pairing, comparing = self.place.sibling("candidates"), self.place.sibling("similarity")
        buckets = (
            parts
            | "Locate" >> beam.Map(partial(_located, {part.key: part for part in phases.unsigned()}))
            | "Sign" >> RunParts(self.place.sibling("signatures"), phases.sign(spread=False))
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


def _located(parts: dict[str, Part[Any]], part: Part[Any]) -> Part[Any]:
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


def settle(phases: Phases, keys: Sequence[str]) -> list[Part[Any]]:
    """All pairs are verified: decide."""
    return phases.outcomes(phases.take_census(), keys)


def _spread_bands(work: tuple[Signed, Bands]) -> Iterator[tuple[str, bytes]]:
    signed, spec = work
    yield from split_by(*signed.entries(spec), spec.buckets)


def _spread_pairs(work: tuple[Ranking, str]) -> Iterator[tuple[str, bytes]]:
    ranking, pairs = work
    yield from split_by(*ranking.spread(pairs), ranking.parts)

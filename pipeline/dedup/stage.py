"""The stage `dedup`: sign every shard, number all documents, pair, verify, decide, publish keep lists. No text is copied."""

import logging
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from pipeline.dedup import bands, candidates, clusters, comparisons, lsh_parameters, signing, similarity, spans
from pipeline.dedup.census import Census
from pipeline.dedup.comparisons import SpreadPairs
from pipeline.dedup.decision import Publish
from pipeline.dedup.explain import explain
from pipeline.dedup.phases import Phases
from pipeline.dedup.rewrite_spans import Rewriting
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.signing import SpreadBands
from pipeline.dedup.spans import FindSpans, SpanRules
from pipeline.dedup.stars import BeamStars
from pipeline.engine import shuffle
from pipeline.engine.allocator import give_back_freed_memory, keep_freed_memory
from pipeline.engine.execute import Work
from pipeline.engine.parts import Part, Place, Receipt, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Outcome, Stage
from pipeline.engine.transform import RunParts
from pipeline.engine.worker_pool import standing
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Input, stage_input

logger = logging.getLogger(__name__)

DOCUMENTS_WORTH_A_PIPELINE = 1_000_000
"""Fewer are paired, compared and published by threads: a pipeline takes 0.15 s to begin and end, and deals out all parts beforehand."""
PAIRS_WORTH_A_PIPELINE = 20_000_000
"""Fewer are ranked in half a second."""
DOCUMENTS_WORTH_A_WORKER = 100_000
"""Fewer than this many for each are worked sooner than another worker process starts, and fewer in all than another runner's workers."""
PAIRS_A_RUN = 1 << 19
"""So many are spread at once, of as many files as hold them: each part that compares opens each run."""
SHARDS_PUBLISHED_AT_ONCE = 8
"""A file costs a millisecond to make and to sync: duplicates and drops of so many shards are one of each."""
EDGES_IN_ONE_WORKER = 100_000_000
"""Union-find joins so many in one process, in 16 bytes each: 100,000 edges in 0.2 s, where rounds of stars took 16 s."""


@dataclass(frozen=True)
class Run:
    """One run of the stage: its phases, each a short Beam pipeline."""

    phases: Phases
    engine: Engine

    def sign(self) -> list[Receipt]:
        """The index of every document shard, and its bands."""
        sign = self.phases.sign(spread=True)
        with ThreadPoolExecutor(1) as beside:
            if self.engine.workers > 1:
                beside.submit(load)  # this process waits meanwhile
            return self.engine.run_parts(sign.place, self.phases.unsigned(), sign, "documents")

    def verify(self, everyone: Census, signed: list[Receipt]) -> list[Receipt]:
        """The pairs that are alike: candidates of all buckets, then their exact similarity."""
        phases, spec, place = self.phases, self.phases.bands, self.phases.place
        earlier = self._work(everyone, place.next("bands"), phases.signed_earlier(), SpreadBands(spec), "earlier indexes")
        runs = shuffle.run_paths(place.next("bands"), bands.KIND, earlier)
        runs += shuffle.run_paths(place.next("signatures"), bands.KIND, signed)
        phases.number(everyone)
        buckets = self._drawn(everyone, "candidates", bands.KIND, runs, spec.buckets)
        paired = self._work(everyone, place.next("candidates"), buckets, phases.pair_up, "buckets of bands")
        pairs = phases.pairs(receipt.key for receipt in paired)
        ranking = phases.rank(everyone, pairs)
        rows = [receipt.files[0].rows for receipt in paired]
        groups, few = numbered(grouped(pairs, rows, PAIRS_A_RUN)), sum(rows) < PAIRS_WORTH_A_PIPELINE
        spread = self._work(everyone, place.next("pairs"), groups, SpreadPairs(ranking), "files of pairs", light=few)
        ranks = shuffle.run_paths(place.next("pairs"), comparisons.KIND, spread)
        parts = self._drawn(everyone, "similarity", comparisons.KIND, ranks, ranking.parts)
        return self._work(everyone, place.next("similarity"), parts, phases.compare, "parts of pairs")

    def decide(self, everyone: Census, compared: list[Receipt]) -> list[Part]:
        """Who goes; the clusters by union-find here, or by rounds of stars where there are too many edges."""
        alone = self.phases.settings.span_rules or len(self.phases.documents) < 4 * SHARDS_PUBLISHED_AT_ONCE
        return self.phases.outcomes(
            everyone,
            [receipt.key for receipt in compared],
            Joining(self.phases.place, self.engine),
            shards_a_part=1 if alone else SHARDS_PUBLISHED_AT_ONCE,
        )

    def find_spans(self, everyone: Census, outcomes: list[Part], rules: SpanRules) -> list[Part]:
        """The same outcomes, and what is cut from the documents that are kept."""
        phases, engine = self.phases, self._engine(everyone)
        shards = phases.span_shards(everyone, outcomes)
        units = sum(int(pc.sum(shard.table(["units"]).column("units")).as_py() or 0) for shard in everyone.shards)
        buckets = spans.bucket_count(units)
        find = RunParts(phases.place.next("spans"), FindSpans(rules, buckets))
        found = engine.run_parts(find.place, numbered(shards, lambda shard: shard.documents.rows), find, "documents")
        compare = RunParts(phases.place.next("repeats"), phases.repeats(everyone))
        parts = self._drawn(everyone, "repeats", "spans", shuffle.run_paths(find.place, "spans", found), buckets)
        repeated = engine.run_parts(compare.place, parts, compare, "buckets of spans")
        cuts = self._drawn(everyone, "cuts", "cuts", shuffle.run_paths(compare.place, "cuts", repeated), len(shards))
        works = [Rewriting(shard, part.work) for shard, part in zip(shards, cuts, strict=True)]
        return [
            replace(part, work=tuple(replace(outcome, rewriting=work) for outcome in part.work))
            for part, work in zip(outcomes, works, strict=True)
        ]

    def publish(self, everyone: Census, parts: list[Part]) -> list[Receipt]:
        """The keep lists, the duplicates, the drops."""
        return self._work(everyone, self.phases.place, parts, Publish(), "shards")

    def _work(
        self, everyone: Census, place: Place, parts: list[Part], work: Work, unit: str, *, light: bool = False
    ) -> list[Receipt]:
        """Of few documents, or if it is light, done here."""
        few = DOCUMENTS_WORTH_A_PIPELINE if self.engine.is_local else DOCUMENTS_WORTH_A_WORKER
        if light or everyone.documents < few:
            return self.engine.run_here(place, parts, work, unit)
        return self._engine(everyone).run_parts(place, parts, RunParts(place, work), unit)

    def _drawn(self, everyone: Census, phase: str, kind: str, runs: list[str], destinations: int) -> list[Part]:
        return shuffle.drawn(self.phases.place, phase, kind, runs, destinations, partial(self._work, everyone))

    def _engine(self, everyone: Census) -> Engine:
        workers = max(1, min(self.engine.workers, everyone.documents // DOCUMENTS_WORTH_A_WORKER))
        return replace(self.engine, workers=workers)


def load() -> None:
    """Fetch the compiled code of what this process does, and its threads: the first call of each takes a while."""
    clusters.load()
    candidates.load()
    similarity.load()


@dataclass
class Joining:
    """How clusters are joined: by union-find here, or by rounds of stars where there are too many edges."""

    place: Place
    engine: Engine
    turns: int = 0

    def __call__(self, count: int, edges: Sequence[clusters.Edges]) -> clusters.Numbers:
        """For each of `count` nodes the least node that the edges join it to."""
        if sum(map(len, edges)) <= EDGES_IN_ONE_WORKER:
            return clusters.components(count, edges)
        self.turns += 1
        return BeamStars(self.place.next(f"clusters-{self.turns}"), self.engine).components(count, edges)


def total(receipts: Sequence[Receipt], counter: str) -> int:
    """The sum of a counter."""
    return sum(receipt.counters[counter] for receipt in receipts)


def grouped(paths: Sequence[str], rows: Sequence[int], most: int) -> Iterator[tuple[str, ...]]:
    """The files in their order, in groups that hold `most` rows or few more."""
    begins = np.cumsum([0, *rows[:-1]]) // most
    for _, group in groupby(zip(begins.tolist(), paths, strict=True), itemgetter(0)):
        yield tuple(path for _, path in group)


def work(call: Call, place: Place) -> Outcome:
    """Signatures by shard; then one order for all; then pairs, similarities, and who stays."""
    settings: DedupSettings = call.settings
    keep_freed_memory()
    cutting = settings.cutting
    logger.info("dedup: %d bands of %d rows find of the pairs %s", *cutting, lsh_parameters.s_curve(*cutting))
    phases = Phases(place, settings, tuple(document_shards(call.inputs["documents"])))
    with standing(call.engine, len(phases.documents), signing.__name__) as engine:
        run = Run(phases, engine)
        signed = run.sign()
        give_back_freed_memory()
        everyone = phases.take_census()
        give_back_freed_memory()
        compared = run.verify(everyone, signed)
        give_back_freed_memory()
        outcomes = run.decide(everyone, compared)
        if settings.span_rules:
            outcomes = run.find_spans(everyone, outcomes, settings.span_rules)
        published = run.publish(everyone, outcomes)
    return Outcome([*signed, *published], counters={name: total(compared, name) for name in ("pairs_compared", "pairs_alike")})


def earlier_inputs(settings: DedupSettings) -> dict[str, Input]:
    """The folders of --against: what they hold counts, where they stand does not."""
    return {f"against_{i}": stage_input(folder, str(Path.cwd())) for i, folder in enumerate(settings.against)}


def tell(folder: str, wanted: str) -> str:
    """What `--explain` prints, coloured on a terminal."""
    return explain(folder, wanted, colour=sys.stdout.isatty())


STAGE = Stage(
    name="dedup",
    text="keep one of each set of documents that are the same or nearly so",
    settings=DedupSettings,
    inputs=("documents",),
    work=work,
    unit="documents",
    out="kept",
    files=earlier_inputs,
    tell=tell,
)

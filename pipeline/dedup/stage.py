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
from typing import Any

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
from pipeline.engine import shuffle
from pipeline.engine.allocator import give_back_freed_memory, keep_freed_memory
from pipeline.engine.execute import Work
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.worker_pool import persistent_workers
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
            return self.engine.work(self.phases.place.sibling("signatures"), self.phases.unsigned(), sign, "documents")

    def verify(self, everyone: Census, signed: list[Receipt]) -> list[Receipt]:
        """The pairs that are alike: candidates of all buckets, then their exact similarity."""
        phases, spec, place = self.phases, self.phases.bands, self.phases.place
        earlier = self._work(everyone, place.sibling("bands"), phases.signed_earlier(), SpreadBands(spec), "earlier indexes")
        runs = shuffle.run_paths(place.sibling("bands"), bands.KIND, earlier)
        runs += shuffle.run_paths(place.sibling("signatures"), bands.KIND, signed)
        phases.number(everyone)
        buckets = self._gather(everyone, "candidates", bands.KIND, runs, spec.buckets)
        paired = self._work(everyone, place.sibling("candidates"), buckets, phases.pair_up, "buckets of bands")
        pairs = phases.pairs(receipt.key for receipt in paired)
        ranking = phases.rank(everyone, pairs)
        rows = [receipt.files[0].rows for receipt in paired]
        groups, few = numbered(grouped(pairs, rows, PAIRS_A_RUN)), sum(rows) < PAIRS_WORTH_A_PIPELINE
        spread = self._work(everyone, place.sibling("pairs"), groups, SpreadPairs(ranking), "files of pairs", light=few)
        ranks = shuffle.run_paths(place.sibling("pairs"), comparisons.KIND, spread)
        parts = self._gather(everyone, "similarity", comparisons.KIND, ranks, ranking.parts)
        return self._work(everyone, place.sibling("similarity"), parts, phases.compare, "parts of pairs")

    def decide(self, everyone: Census, compared: list[Receipt]) -> list[Part[Any]]:
        """Who goes; the clusters by union-find here, or by rounds of stars where there are too many edges."""
        alone = self.phases.settings.span_rules or len(self.phases.documents) < 4 * SHARDS_PUBLISHED_AT_ONCE
        return self.phases.outcomes(
            everyone,
            [receipt.key for receipt in compared],
            shards_a_part=1 if alone else SHARDS_PUBLISHED_AT_ONCE,
        )

    def find_spans(self, everyone: Census, outcomes: list[Part[Any]], rules: SpanRules) -> list[Part[Any]]:
        """The same outcomes, and what is cut from the documents that are kept."""
        phases, engine = self.phases, self._engine(everyone)
        shards = phases.span_shards(everyone, outcomes)
        units = sum(int(pc.sum(shard.table(["units"]).column("units")).as_py() or 0) for shard in everyone.shards)
        buckets = spans.bucket_count(units)
        finding, comparing = phases.place.sibling("spans"), phases.place.sibling("repeats")
        looked = numbered(shards, lambda shard: shard.documents.rows)
        found = engine.work(finding, looked, FindSpans(rules, buckets), "documents")
        parts = self._gather(everyone, "repeats", "spans", shuffle.run_paths(finding, "spans", found), buckets)
        repeated = engine.work(comparing, parts, phases.repeats(everyone), "buckets of spans")
        cuts = self._gather(everyone, "cuts", "cuts", shuffle.run_paths(comparing, "cuts", repeated), len(shards))
        works = [Rewriting(shard, part.work) for shard, part in zip(shards, cuts, strict=True)]
        return [
            replace(part, work=tuple(replace(outcome, rewriting=work) for outcome in part.work))
            for part, work in zip(outcomes, works, strict=True)
        ]

    def publish(self, everyone: Census, parts: list[Part[Any]]) -> list[Receipt]:
        """The keep lists, the duplicates, the drops."""
        return self._work(everyone, self.phases.place, parts, Publish(), "shards")

    def _work(
        self, everyone: Census, place: PhaseFolder, parts: list[Part[Any]], work: Work[Any], unit: str, *, light: bool = False
    ) -> list[Receipt]:
        """Of few documents, or if it is light, done here."""
        few = DOCUMENTS_WORTH_A_PIPELINE if self.engine.is_local else DOCUMENTS_WORTH_A_WORKER
        if light or everyone.documents < few:
            return self.engine.work(place, parts, work, unit, light=True)
        return self._engine(everyone).work(place, parts, work, unit)

    def _gather(self, everyone: Census, phase: str, kind: str, runs: list[str], destinations: int) -> list[Part[Any]]:
        return shuffle.gather(self.phases.place, phase, kind, runs, destinations, partial(self._work, everyone))

    def _engine(self, everyone: Census) -> Engine:
        workers = max(1, min(self.engine.workers, everyone.documents // DOCUMENTS_WORTH_A_WORKER))
        return replace(self.engine, workers=workers)


def load() -> None:
    """Fetch the compiled code of what this process does, and its threads: the first call of each takes a while."""
    clusters.load()
    candidates.load()
    similarity.load()


def total(receipts: Sequence[Receipt], counter: str) -> int:
    """The sum of a counter."""
    return sum(receipt.counters[counter] for receipt in receipts)


def grouped(paths: Sequence[str], rows: Sequence[int], most: int) -> Iterator[tuple[str, ...]]:
    """The files in their order, in groups that hold `most` rows or few more."""
    begins = np.cumsum([0, *rows[:-1]]) // most
    for _, group in groupby(zip(begins.tolist(), paths, strict=True), itemgetter(0)):
        yield tuple(path for _, path in group)


def work(call: Call[DedupSettings], place: PhaseFolder) -> StageResult:
    """Signatures by shard; then one order for all; then pairs, similarities, and who stays."""
    settings = call.settings
    keep_freed_memory()
    cutting = settings.cutting
    logger.info("dedup: %d bands of %d rows find of the pairs %s", *cutting, lsh_parameters.s_curve(*cutting))
    phases = Phases(place, settings, tuple(document_shards(call.inputs["documents"])))
    with persistent_workers(call.engine, len(phases.documents), signing.__name__) as engine:
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
    return StageResult(
        [*signed, *published], counters={name: total(compared, name) for name in ("pairs_compared", "pairs_alike")}
    )


def earlier_inputs(settings: DedupSettings) -> dict[str, Input]:
    """The folders of --against: what they hold counts, where they stand does not."""
    return {f"against_{i}": stage_input(folder, str(Path.cwd())) for i, folder in enumerate(settings.against)}


def explain_removal(folder: str, wanted: str) -> str:
    """What `--explain` prints, coloured on a terminal."""
    return explain(folder, wanted, colour=sys.stdout.isatty())


STAGE = Stage(
    name="dedup",
    text="keep one of each set of documents that are the same or nearly so",
    settings=DedupSettings,
    inputs=("documents",),
    work=work,
    unit="documents",
    files=earlier_inputs,
    explain_output=explain_removal,
)

"""The stage `dedup`: its phases on the stage's engine. It publishes keep lists and copies no text, unless spans are cut."""

import logging
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.dedup import candidates, clusters, lsh_parameters, signing, similarity
from pipeline.dedup.census import Census
from pipeline.dedup.explain import explain
from pipeline.dedup.phases import Phases, Step
from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.span_phases import SpanPhases
from pipeline.dedup.spans import SpanRules
from pipeline.engine.allocator import give_back_freed_memory, keep_freed_memory
from pipeline.engine.execute import Work
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.worker_pool import persistent_workers
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import StageManifest, check_room, load_stage

logger = logging.getLogger(__name__)

DOCUMENTS_WORTH_A_PIPELINE = 1_000_000
"""Below this many documents, threads pair, compare and publish: starting and ending a pipeline takes 0.15 s, and it assigns all
parts beforehand."""
PAIRS_WORTH_A_PIPELINE = 20_000_000
"""Below this many pairs, threads rank them in half a second."""
DOCUMENTS_WORTH_A_WORKER = 100_000
"""Below this many documents per worker, starting one costs more than it saves; so do the workers of another runner below this
many in all."""
SHARDS_PUBLISHED_AT_ONCE = 8
"""Shards that share one file of duplicates and one of drops: a file takes a millisecond to create and sync."""


@dataclass(frozen=True)
class DedupRun:
    """One run of the stage: the steps of its phases on an engine."""

    phases: Phases
    engine: Engine

    def sign(self) -> list[Receipt]:
        """Write the index of every document shard, and its bands."""
        with ThreadPoolExecutor(1) as beside:
            if self.engine.workers > 1:
                beside.submit(load)  # this process only waits meanwhile
            return self.engine.work(*self.phases.sign())

    def compare(self, everyone: Census) -> list[Receipt]:
        """Find the candidate pairs of all buckets and measure their exact similarity."""
        merge = partial(self._work, everyone)
        self._work(everyone, *self.phases.spread_earlier())
        paired = self._work(everyone, *self.phases.pair(everyone, merge))
        few = sum(receipt.files[0].rows for receipt in paired) < PAIRS_WORTH_A_PIPELINE
        spread = self._work(everyone, *self.phases.spread_pairs(everyone, _keys(paired)), light=few)
        return self._work(everyone, *self.phases.compare(_keys(spread), merge))

    def decide(self, everyone: Census, compared: Sequence[Receipt]) -> Step:
        """Decide which documents are removed."""
        single = self.phases.settings.span_rules or len(self.phases.documents) < 4 * SHARDS_PUBLISHED_AT_ONCE
        return self.phases.decide(everyone, _keys(compared), shards_per_part=1 if single else SHARDS_PUBLISHED_AT_ONCE)

    def cut_spans(self, everyone: Census, decision: Step, rules: SpanRules) -> Step:
        """Find the repeated spans of the kept documents; the decision with the cuts."""
        steps, engine = SpanPhases(self.phases, everyone, rules), self._engine(everyone)
        merge = partial(self._work, everyone)
        find = steps.find(decision)
        repeats = steps.repeats(engine.work(*find), merge)
        return steps.cut(decision, [part.work for part in find.parts], engine.work(*repeats), merge)

    def publish(self, everyone: Census, decision: Step) -> list[Receipt]:
        """Write the keep lists, the duplicates, the drops."""
        return self._work(everyone, *decision)

    def _work(
        self, everyone: Census, phase: PhaseFolder, parts: list[Part[Any]], work: Work[Any], unit: str, *, light: bool = False
    ) -> list[Receipt]:
        """Run a step; on threads where it is light or has few documents."""
        few = DOCUMENTS_WORTH_A_PIPELINE if self.engine.is_local else DOCUMENTS_WORTH_A_WORKER
        if light or everyone.documents < few:
            return self.engine.work(phase, parts, work, unit, light=True)
        return self._engine(everyone).work(phase, parts, work, unit)

    def _engine(self, everyone: Census) -> Engine:
        workers = max(1, min(self.engine.workers, everyone.documents // DOCUMENTS_WORTH_A_WORKER))
        return replace(self.engine, workers=workers)


def load() -> None:
    """Load the compiled code that this process runs, and start its threads: the first call of each takes a while."""
    clusters.load()
    candidates.load()
    similarity.load()


def _keys(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.key for receipt in receipts]


def work(call: Call[DedupSettings], phase: PhaseFolder) -> StageResult:
    """Sign shard by shard; put all documents in one order; find and measure pairs; decide and publish."""
    settings = in_canonical_order(call.settings)
    keep_freed_memory()
    bands_and_rows = settings.bands_and_rows
    logger.debug(
        "dedup: share of similar pairs that %d bands of %d rows find, by similarity: %s",
        *bands_and_rows,
        lsh_parameters.s_curve(*bands_and_rows),
    )
    phases = Phases(phase, settings, tuple(document_shards(call.inputs["documents"])))
    check_room(phase.folder, len(phases.documents), 5 if settings.index else 2)  # index (3), keep list, shared: drops, duplicates
    with persistent_workers(call.engine, len(phases.documents), signing.__name__) as engine:
        run = DedupRun(phases, engine)
        signed = run.sign()
        give_back_freed_memory()
        everyone = phases.take_census()
        give_back_freed_memory()
        compared = run.compare(everyone)
        give_back_freed_memory()
        decision = run.decide(everyone, compared)
        if settings.span_rules:
            rules = replace(settings.span_rules, min_characters=_least_characters(call.inputs["documents"]))
            decision = run.cut_spans(everyone, decision, rules)
        published = run.publish(everyone, decision)
    counters = {name: sum(receipt.counters[name] for receipt in compared) for name in ("pairs_compared", "pairs_alike")}
    return StageResult([*signed, *published], counters=counters)


def _least_characters(documents: str) -> int:
    """The least length that the stage `documents` kept: cuts must not leave less."""
    return int(load_stage(documents, "documents").settings.get("min_characters", 0))


def earlier_folders(settings: DedupSettings) -> dict[str, Sequence[str]]:
    """The folders of --against: their content counts as an input, their order and their paths do not."""
    return {"against": settings.against}


def in_canonical_order(settings: DedupSettings) -> DedupSettings:
    """The settings with each folder of --against once, in the order of their manifests' hashes: equal sets give equal bytes."""
    folders = {StageManifest.load(folder).sha256: folder for folder in settings.against}
    return replace(settings, against=tuple(folders[sha256] for sha256 in sorted(folders)))


def explain_removal(folder: str, document: str) -> str:
    """The text that `--explain` prints for a document, coloured on a terminal."""
    return explain(folder, document, colour=sys.stdout.isatty())


STAGE = Stage(
    name="dedup",
    settings=DedupSettings,
    inputs=("documents",),
    work=work,
    unit="documents",
    folders=earlier_folders,
    explain_output=explain_removal,
)

"""The stage `dedup`: sign every shard, number all documents, pair, verify, decide, publish keep lists. No text is copied."""

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline import arrays, candidates, census, clusters, dedup, files, minhash, similarity
from pipeline.candidates import Bands, BandShard, Pairs, pair_candidates
from pipeline.census import Census
from pipeline.dedup import DedupSettings, Publish, Removal, ShardOutcome
from pipeline.duplicates import explain
from pipeline.engine import Engine
from pipeline.files import InputError
from pipeline.manifest import Input, load_stage, stage_input
from pipeline.parts import Place, Receipt, RunParts, numbered
from pipeline.signatures import Sign, SignedShard, check_alike
from pipeline.similarity import Comparison, Verify
from pipeline.stage import Call, Outcome, Stage
from pipeline.stars import BeamStars
from pipeline.views import document_shards

logger = logging.getLogger(__name__)

DOCUMENTS_WORTH_A_WORKER = 100_000
"""Fewer than this many are paired, compared and published sooner than another worker process starts."""
EDGES_IN_ONE_WORKER = 100_000_000
"""Union-find joins so many in one process, in 16 bytes each: 100,000 edges in 0.2 s, where rounds of stars took 16 s."""


@dataclass(frozen=True)
class Run:
    """One run of the stage."""

    place: Place
    engine: Engine
    settings: DedupSettings

    def sign(self, folder: str) -> list[Receipt]:
        """The index of every document shard."""
        settings = self.settings
        permutations = settings.band_count * settings.rows
        sign = Sign(permutations, settings.shingle_length, settings.characters, settings.signature_seed, settings.index)
        parts = numbered(document_shards(folder), lambda shard: shard.rows)
        place = self.place.next("signatures")
        return self.engine.run_parts(place, parts, RunParts(place, sign), "documents")

    def pair(self, everyone: Census) -> Pairs:
        """The candidate pairs of all buckets."""
        place = self.place.next("candidates")
        shards = tuple(
            BandShard(shard.signatures, self._spill(place, f"numbers-{i:05d}.npy", everyone.compared_numbers(i)))
            for i, shard in enumerate(everyone.shards)
        )
        entries = int(everyone.compared.sum()) * self.settings.band_count
        buckets = candidates.bucket_count(entries)
        parts = numbered(range(buckets), lambda _: entries // buckets)
        bands = Bands(self.settings.band_count, self.settings.rows, buckets)
        transform = pair_candidates(place, shards, bands, everyone.earlier)
        receipts = self._engine(everyone).run_parts(place, parts, transform, "band keys")
        found = [arrays.load(receipt.path(place, "pairs")) for receipt in receipts]
        return np.unique(np.concatenate([np.empty(0, np.uint64), *found]))

    def verify(self, phase: str, everyone: Census, pairs: Pairs, threshold: float) -> npt.NDArray[np.void]:
        """Those of the pairs that are at least `threshold` alike."""
        place = self.place.next(phase)
        parts = numbered(self._comparisons(place, everyone, pairs), lambda _: 1)
        verify = Verify(tuple(shard.shingles for shard in everyone.shards), threshold)
        receipts = self._engine(everyone).run_parts(place, parts, RunParts(place, verify), "slices of pairs") if parts else []
        return np.concatenate([np.empty(0, similarity.EDGES), *(arrays.load(r.path(place, "edges")) for r in receipts)])

    def decide(self, everyone: Census, edges: npt.NDArray[np.void]) -> Removal:
        """Who goes; the clusters by union-find here, or by rounds of stars where there are too many edges."""
        many = len(edges) + len(everyone.numbers) > EDGES_IN_ONE_WORKER
        join = BeamStars(self.place.next("clusters"), self.engine).components if many else clusters.components
        return dedup.decide(everyone, edges, transitive=self.settings.transitive, join=join)

    def complete(self, everyone: Census, removal: Removal) -> Removal:
        """Measure the similarities that the decision did not need."""
        unknown = np.flatnonzero(np.isnan(removal.similarity))
        if not len(unknown):
            return removal
        ends = np.sort(np.stack([removal.numbers[unknown], removal.kept[unknown]], axis=1), axis=1).astype(np.uint64)
        wanted = ends[:, 0] << np.uint64(32) | ends[:, 1]
        edges = self.verify("similarities", everyone, np.unique(wanted), 0.0)
        known = edges["a"].astype(np.uint64) << np.uint64(32) | edges["b"]
        order = np.argsort(known)
        found = removal.similarity.copy()
        found[unknown] = edges["similarity"][order[np.searchsorted(known, wanted, sorter=order)]]
        return replace(removal, similarity=found)

    def publish(self, everyone: Census, removal: Removal, rows: Sequence[str]) -> list[Receipt]:
        """The keep lists, the duplicates, the drops."""
        place = self.place.next("publish")
        works = []
        for i, table in enumerate(dedup.removed_tables(everyone, removal)):
            path = files.join(place.work_folder, f"removed-{i:05d}.parquet")
            files.publish_table(path, table)
            works.append(ShardOutcome(rows[i], path))
        parts = numbered(works, lambda _: 1)
        return self._engine(everyone).run_parts(place, parts, RunParts(place, Publish()), "shards")

    def _comparisons(self, place: Place, everyone: Census, pairs: Pairs) -> Iterable[Comparison]:
        numbers = np.unique(np.concatenate([pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)])).astype(np.int64)
        found = similarity.places(everyone, numbers)
        a = np.searchsorted(numbers, pairs >> np.uint64(32))
        b = np.searchsorted(numbers, pairs & np.uint64(0xFFFFFFFF))
        for i, part in enumerate(similarity.slices(pairs, (found["count"][a], found["count"][b]))):
            used = np.unique(np.concatenate([a[part], b[part]]))
            yield Comparison(
                self._spill(place, f"pairs-{i:05d}.npy", pairs[part]), self._spill(place, f"places-{i:05d}.npy", found[used])
            )

    def _spill(self, place: Place, name: str, array: npt.NDArray[np.generic]) -> str:
        path = files.join(place.work_folder, name)
        arrays.save(path, array)
        return path

    def _engine(self, everyone: Census) -> Engine:
        workers = max(1, min(self.engine.workers, len(everyone.numbers) // DOCUMENTS_WORTH_A_WORKER))
        return replace(self.engine, workers=workers)


def work(call: Call, place: Place) -> Outcome:
    """Signatures by shard; then one order for all; then pairs, similarities, and who stays."""
    settings: DedupSettings = call.settings
    run = Run(place, call.engine, settings)
    logger.info(
        "dedup: pairs found with %d bands of %d rows: %s",
        settings.band_count,
        settings.rows,
        minhash.s_curve(settings.band_count, settings.rows),
    )
    signed = run.sign(call.inputs["documents"])
    shards = [signed_shard(receipt, place) for receipt in signed]
    earlier = [shard for folder in settings.against for shard in index_shards(folder)]
    if shards and earlier:
        for shard in earlier:
            check_alike(shards[0], shard)
    everyone = census.take(shards, earlier)
    edges = run.verify("similarity", everyone, run.pair(everyone), settings.threshold)
    removal = run.complete(everyone, run.decide(everyone, edges))
    published = run.publish(everyone, removal, [shard.rows for shard in shards])
    return Outcome([*signed, *published], counters={"pairs_alike": len(edges)})


def signed_shard(receipt: Receipt, place: Place) -> SignedShard:
    """The index that a part of the signature phase wrote."""
    return SignedShard(*(receipt.path(place, kind) for kind in ("rows", "signatures", "shingles")))


def index_shards(folder: str) -> list[SignedShard]:
    """The index of an earlier dedup folder, its kept documents alone. Raises InputError where it has none."""
    manifest = load_stage(folder, "dedup")
    kinds = [manifest.of_kind(kind) for kind in ("rows", "signatures", "shingles", "keep")]
    if not kinds[0] and kinds[3]:
        raise InputError(f"{folder}: dedup wrote no index there (--no_index); run it there again with --index")
    return [SignedShard(*(files.join(folder, entry.name) for entry in entries)) for entries in zip(*kinds, strict=True)]


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

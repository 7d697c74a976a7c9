"""The last work of deduplication: the keep lists, duplicates, drops and books of document shards."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup.choice import BY_ADDRESS, BY_TEXT, NOBODY
from pipeline.dedup.removals import DedupDrop
from pipeline.dedup.rewrite_spans import ShardCuts, rewrite
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop, Duplicate
from pipeline.storage import files
from pipeline.storage.document_shards import CLUSTER_SCHEMA, CLUSTERS, KEEP_SCHEMA

STAGE_NAME = "dedup"


@dataclass(frozen=True, slots=True)
class ShardDecision:
    """A shard's key, its index rows, and its REMOVED rows: the batch `batch` of a file. `cuts` are set where spans are cut."""

    key: str
    rows: str
    removed: str
    batch: int
    cuts: ShardCuts | None = None


def removed_rows(decisions: Iterable[ShardDecision]) -> Iterator[pa.Table]:
    """The REMOVED rows of shards without the kept duplicates."""
    for rows in _listed_rows(decisions):
        yield rows.filter(_is_removed(rows))


def _listed_rows(decisions: Iterable[ShardDecision]) -> Iterator[pa.Table]:
    """All REMOVED rows of shards; each file is opened once."""
    for path, shards in groupby(decisions, attrgetter("removed")):
        with files.open_batches(path) as batches:
            yield from (pa.Table.from_batches([batches.get_batch(shard.batch)]) for shard in shards)


def _is_removed(rows: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(rows.column("by"), NOBODY)


@dataclass(frozen=True)
class Publish:
    """Work on some shards: their keep lists, duplicates, drops and books, and their documents where spans are cut.

    Where duplicates are kept, `clusters` names those that are, with the first document of their cluster.
    """

    keeps_duplicates: bool = False

    def __call__(self, part: Part[tuple[ShardDecision, ...]], writer: PartWriter) -> None:
        """Write what is kept and what is removed."""
        decisions = zip(part.work, _listed_rows(part.work), strict=True)
        tables = [_publish_shard(shard, listed, writer) for shard, listed in decisions]
        duplicates = pa.concat_tables([Duplicate.SCHEMA.empty_table(), *(removed for removed, _ in tables)])
        writer.publish_table("duplicates", duplicates)
        if self.keeps_duplicates:
            writer.publish_table(CLUSTERS, pa.concat_tables([CLUSTER_SCHEMA.empty_table(), *(kept for _, kept in tables)]))
        if duplicates.num_rows:
            writer.drop_table(_drops(duplicates))
        writer.counters["text_bytes"] -= writer.counters["bytes_cut"]


def _publish_shard(shard: ShardDecision, listed: pa.Table, writer: PartWriter) -> tuple[pa.Table, pa.Table]:
    """Write a shard's keep list and count its books; returns its Duplicate rows, and the CLUSTER_SCHEMA rows of kept duplicates."""
    rows = files.read_table(shard.rows, ["document_id", "url", "text_bytes"])
    removed = listed.filter(_is_removed(listed))
    removed_places = removed.column("row").to_numpy()
    keep = np.ones(rows.num_rows, bool)
    keep[removed_places] = False
    writer.counters["text_bytes"] += int(rows.column("text_bytes").to_numpy()[keep].sum())
    if shard.cuts:
        left_out = rewrite(shard.cuts, np.flatnonzero(keep), writer)
        for reason, places in zip((DedupDrop.NOTHING_LEFT, DedupDrop.TOO_SHORT), left_out, strict=True):
            keep[places] = False
            for url in rows.column("url").take(places).to_pylist():
                writer.drop(Drop(STAGE_NAME, url, reason))
    kept = np.flatnonzero(keep)
    table = pa.table({"row": kept, "document_id": rows.column("document_id").take(kept)}, schema=KEEP_SCHEMA)
    writer.publish_table("keep", table, f"keep-{shard.key}.parquet")
    writer.items_in += rows.num_rows
    writer.items_out += len(kept)
    writer.advance(rows.num_rows)
    names = rows.select(["document_id", "url"])
    return _duplicates(names.take(removed_places), removed), _kept_duplicates(names, listed, keep)


def _duplicates(documents: pa.Table, removed: pa.Table) -> pa.Table:
    """The Duplicate rows of removed documents."""
    same_text = np.asarray(pc.equal(documents.column("document_id"), removed.column("kept_id")))
    reasons = _reasons(removed.column("by").to_numpy(), same_text)
    columns = {name: removed.column(name) for name in ("kept_id", "kept_url", "cluster", "similarity")}
    columns |= {"document_id": documents.column("document_id"), "url": documents.column("url"), "reason": reasons}
    return pa.table(columns, schema=Duplicate.SCHEMA)


def _kept_duplicates(names: pa.Table, listed: pa.Table, keep: npt.NDArray[np.bool_]) -> pa.Table:
    """The CLUSTER_SCHEMA rows of kept duplicates."""
    kept = listed.filter(pa.array(keep[listed.column("row").to_numpy()]))
    return pa.table([*names.take(kept.column("row")).columns, kept.column("cluster")], schema=CLUSTER_SCHEMA)


def _reasons(by: npt.NDArray[np.int8], same_text: npt.NDArray[np.bool_]) -> pa.Array:
    words = pa.array([str(reason) for reason in DedupDrop])
    places = {reason: place for place, reason in enumerate(DedupDrop)}
    equal = np.where(same_text, places[DedupDrop.SAME_TEXT], places[DedupDrop.SAME_NORMALISED_TEXT])
    chosen = np.select([by == BY_ADDRESS, by == BY_TEXT], [places[DedupDrop.SAME_URL], equal], places[DedupDrop.NEAR_DUPLICATE])
    return words.take(pa.array(chosen))


def _drops(duplicates: pa.Table) -> pa.Table:
    kept = [key.hex() for key in duplicates.column("kept_id").to_pylist()]
    columns = [pa.repeat(STAGE_NAME, duplicates.num_rows), duplicates.column("url"), duplicates.column("reason"), kept]
    return pa.table(columns, schema=Drop.SCHEMA)

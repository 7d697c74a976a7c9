"""Which documents go, by which rule, and which kept one stands for each.

A document is removed only when one that is kept, and comes before it in the order of `census`, is like it: of the same address, the same
text, the same words, or of exact Jaccard similarity at or above the threshold. The kept ones are the lexicographically first maximal
independent set of these pairs, so the answer does not depend on who computed it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import groupby, pairwise
from operator import attrgetter
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup import clusters
from pipeline.dedup.census import Census
from pipeline.dedup.clusters import BY_ADDRESS, BY_TEXT, NOBODY, Choice, Likeness, Numbers
from pipeline.dedup.ranking import Batch
from pipeline.dedup.rewrite_spans import Rewriting, rewrite
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop, Duplicate, required
from pipeline.storage import files
from pipeline.storage.document_shards import KEEP_SCHEMA

STAGE_NAME = "dedup"
UNKNOWN = np.float32(np.nan)
SHARDS_AT_ONCE = 16


class Reason(StrEnum):
    """Why a document is removed."""

    SAME_URL = "same_url"
    SAME_TEXT = "same_text"
    SAME_NORMALISED_TEXT = "same_normalised_text"
    NEAR_DUPLICATE = "near_duplicate"
    NOTHING_LEFT = "nothing_left"


@dataclass(frozen=True, slots=True)
class Removal:
    """Removed documents by number: the kept one, by what (`clusters.BY_…`), how similar (NaN: not known), first of the cluster."""

    numbers: Numbers
    kept: Numbers
    by: Numbers
    similarity: npt.NDArray[np.float32]
    cluster: Numbers


Join = Callable[[int, Sequence[clusters.Edges]], Numbers]
"""From a number of nodes and their edges to the least node of each one's component."""


def decide(census: Census, batches: Iterable[Batch], *, transitive: bool = False, join: Join = clusters.components) -> Removal:
    """Who goes, batch by batch; `join` finds the clusters."""
    nobody = np.empty(0, np.int32)
    found = [Removal(nobody, nobody, nobody, np.empty(0, np.float32), nobody)]
    found += (_decide(batch, census.earlier, transitive=transitive, join=join) for batch in batches)
    return Removal(*(np.concatenate([getattr(some, field.name) for some in found]) for field in fields(Removal)))


def _decide(batch: Batch, earlier: int, *, transitive: bool, join: Join) -> Removal:
    numbers, address, text, edges, likeness = batch
    fixed = int(np.searchsorted(numbers, earlier))
    choice = None if transitive else clusters.choose(Likeness(address, text, edges, likeness, fixed))
    cluster = join(len(numbers), [*_stars(address, text), edges])
    kept_by, by, similarity = choice or _one_a_cluster(cluster, text, fixed)
    similarity[(by == BY_ADDRESS) & (text != text[kept_by])] = UNKNOWN
    gone = np.flatnonzero(kept_by != NOBODY)
    return Removal(numbers[gone], numbers[kept_by[gone]], by[gone], similarity[gone], numbers[cluster[gone]])


def _stars(address: Numbers, text: Numbers) -> Iterator[clusters.Edges]:
    """The groups of equals as edges, each as a star around its first."""
    everyone = np.arange(len(address), dtype=np.int32)
    for first in (address, text):
        others = first != everyone
        yield np.stack([first[others], everyone[others]], axis=1)


def _one_a_cluster(cluster: Numbers, text: Numbers, fixed: int) -> Choice:
    everyone = np.arange(len(cluster), dtype=np.int32)
    kept_by = np.where((cluster == everyone) | (everyone < fixed), NOBODY, cluster)
    same = text == text[cluster]
    by = np.where(same, BY_TEXT, clusters.BY_SIMILARITY)
    return Choice(kept_by, by, np.where(same, np.float32(1.0), UNKNOWN).astype(np.float32))


REMOVED = pa.schema(
    [
        required("row", pa.int64()),
        required("kept_id", pa.binary(16)),
        required("kept_url", pa.string()),
        required("cluster", pa.binary(16)),
        required("by", pa.int8()),
        required("similarity", pa.float32()),
    ]
)
"""The removed rows of a shard: a spill between the decision and the shard's own part, which knows the documents themselves."""


def removed_tables(census: Census, removal: Removal) -> Iterator[pa.Table]:
    """For each of this month's shards its REMOVED rows, ascending; made for SHARDS_AT_ONCE, since addresses are most of their memory."""
    named = census.names(np.concatenate([removal.kept, removal.cluster]))
    earlier = int(np.searchsorted(census.starts, census.earlier, side="right")) - 1
    starts = census.starts[earlier:]
    flat = census.flat_rows[removal.numbers]
    order = np.argsort(flat)
    bounds = np.searchsorted(flat, starts, sorter=order)
    for first in range(0, len(starts) - 1, SHARDS_AT_ONCE):
        ends = bounds[first : first + SHARDS_AT_ONCE + 1]
        chosen = order[ends[0] : ends[-1]]
        kept, cluster = (named.of(side[chosen]) for side in (removal.kept, removal.cluster))
        columns = {
            "row": flat[chosen] - np.repeat(starts[first : first + len(ends) - 1], np.diff(ends)),
            "kept_id": kept.column("document_id"),
            "kept_url": kept.column("url"),
            "cluster": cluster.column("document_id"),
            "by": removal.by[chosen].astype(np.int8),
            "similarity": removal.similarity[chosen],
        }
        table = pa.table(columns, schema=REMOVED)
        yield from (table.slice(low, high - low) for low, high in pairwise((ends - ends[0]).tolist()))


def spill_removed(path: str, tables: Iterable[pa.Table]) -> None:
    """Write the REMOVED rows of all shards to a file, a record batch each: one file, since hundreds of small ones cost their making."""

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, REMOVED) as writer:
            for table in tables:
                (batch,) = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], REMOVED)]
                writer.write_batch(batch)

    files.publish(path, write, kept=False)


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """A shard's key, its index, and where its REMOVED rows stand: which batch of which file; where spans are cut, also how."""

    key: str
    rows: str
    removed: str
    batch: int
    rewriting: Rewriting | None = None


def removed_rows(outcomes: Iterable[ShardOutcome]) -> Iterator[pa.Table]:
    """The REMOVED rows of shards, each file opened once."""
    for path, shards in groupby(outcomes, attrgetter("removed")):
        with files.open_input(path) as file:
            batches = pa.ipc.open_file(file)
            yield from (pa.Table.from_batches([batches.get_batch(shard.batch)]) for shard in shards)


@dataclass(frozen=True)
class Publish:
    """The last work of some shards (ShardOutcome): their keep lists, duplicates, drops, books; their documents where they are rewritten."""

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Write what stays and what goes."""
        outcomes = zip(part.work, removed_rows(part.work), strict=True)
        found = [self._publish_shard(shard, removed, writer) for shard, removed in outcomes]
        duplicates = pa.concat_tables([Duplicate.SCHEMA.empty_table(), *found])
        writer.publish_table("duplicates", duplicates)
        if duplicates.num_rows:
            writer.drop_table(_drops(duplicates))
        writer.counters["text_bytes"] -= writer.counters["bytes_cut"]

    def _publish_shard(self, shard: ShardOutcome, removed: pa.Table, writer: PartWriter) -> pa.Table:
        """The shard's Duplicate rows."""
        rows = files.read_table(shard.rows, ["document_id", "url", "text_bytes"])
        gone = removed.column("row").to_numpy()
        stays = np.ones(rows.num_rows, bool)
        stays[gone] = False
        writer.counters["text_bytes"] += int(rows.column("text_bytes").to_numpy()[stays].sum())
        if shard.rewriting:
            emptied = rewrite(shard.rewriting, np.flatnonzero(stays), writer)
            stays[emptied] = False
            for url in rows.column("url").take(emptied).to_pylist():
                writer.drop(Drop(STAGE_NAME, url, Reason.NOTHING_LEFT))
        kept = np.flatnonzero(stays)
        table = pa.table({"row": kept, "document_id": rows.column("document_id").take(kept)}, schema=KEEP_SCHEMA)
        writer.publish_table("keep", table, f"keep-{shard.key}.parquet")
        writer.items_in += rows.num_rows
        writer.items_out += len(kept)
        writer.advance(rows.num_rows)
        return _duplicates(rows.select(["document_id", "url"]).take(gone), removed)


def _duplicates(documents: pa.Table, removed: pa.Table) -> pa.Table:
    """The Duplicate rows of removed documents."""
    same_text = np.asarray(pc.equal(documents.column("document_id"), removed.column("kept_id")))
    reasons = _reasons(removed.column("by").to_numpy(), same_text)
    columns = {name: removed.column(name) for name in ("kept_id", "kept_url", "cluster", "similarity")}
    columns |= {"document_id": documents.column("document_id"), "url": documents.column("url"), "reason": reasons}
    return pa.table(columns, schema=Duplicate.SCHEMA)


def _reasons(by: npt.NDArray[np.int8], same_text: npt.NDArray[np.bool_]) -> pa.Array:
    words = pa.array([str(reason) for reason in Reason])
    places = {reason: place for place, reason in enumerate(Reason)}
    equal = np.where(same_text, places[Reason.SAME_TEXT], places[Reason.SAME_NORMALISED_TEXT])
    ruled = np.select([by == BY_ADDRESS, by == BY_TEXT], [places[Reason.SAME_URL], equal], places[Reason.NEAR_DUPLICATE])
    return words.take(pa.array(ruled))


def _drops(duplicates: pa.Table) -> pa.Table:
    kept = [key.hex() for key in duplicates.column("kept_id").to_pylist()]
    columns = [pa.repeat(STAGE_NAME, duplicates.num_rows), duplicates.column("url"), duplicates.column("reason"), kept]
    return pa.table(columns, schema=Drop.SCHEMA)

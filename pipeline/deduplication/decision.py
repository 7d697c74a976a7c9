"""Which documents go, by which rule, and which kept one stands for each.

A document is removed only when one that is kept, and comes before it in the order of `census`, is like it: of the same address, the same
text, the same words, or of exact Jaccard similarity at or above the threshold. The kept ones are the lexicographically first maximal
independent set of these pairs, so the answer does not depend on who computed it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import files
from pipeline.deduplication import clusters
from pipeline.deduplication.census import Census, Names
from pipeline.deduplication.clusters import BY_ADDRESS, BY_TEXT, NOBODY, Choice, Likeness, Numbers, Places
from pipeline.deduplication.comparisons import Verified
from pipeline.deduplication.rewriting import Rewriting, rewrite
from pipeline.parts import Part, PartWriter
from pipeline.records import Drop, Duplicate
from pipeline.views import KEEP_SCHEMA

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


def decide(census: Census, pairs: Verified, *, transitive: bool = False, join: Join = clusters.components) -> Removal:
    """Who goes. The ends of the `pairs` stand for all of their text, and are renamed in place; `join` finds the clusters."""
    count, (ends, likeness) = len(census.text), pairs
    everyone = np.arange(count, dtype=np.int32)
    involved = np.zeros(count, bool)
    for first in (census.address, census.text):
        others = np.flatnonzero((first != everyone) & (first != NOBODY))
        involved[others] = involved[first[others]] = True
    for side in ends.T:
        involved[side] = True
    numbers = np.flatnonzero(involved).astype(np.int32)
    place = np.full(count + 1, NOBODY, np.int32)
    place[numbers] = np.arange(len(numbers), dtype=np.int32)
    address, text = (place[first[numbers]] for first in (census.address, census.text))
    for side in ends.T:
        side[:] = place[side]
    del place, involved, everyone  # of no more use, beside the most that is held at once
    fixed = int(np.searchsorted(numbers, census.earlier))
    choice = None if transitive else clusters.choose(Likeness(address, text, ends, likeness, fixed))
    cluster = join(len(numbers), [*_stars(address, text), ends])
    kept_by, by, similarity = choice or _one_a_cluster(cluster, text, fixed)
    similarity[(by == BY_ADDRESS) & (text != text[kept_by])] = UNKNOWN
    gone = np.flatnonzero(kept_by != NOBODY)
    return Removal(numbers[gone], numbers[kept_by[gone]], by[gone], similarity[gone], numbers[cluster[gone]])


def _stars(address: Numbers, text: Numbers) -> Iterator[clusters.Edges]:
    """The groups of equals as edges, each as a star around its first."""
    everyone = np.arange(len(address), dtype=np.int32)
    for first in (address, text):
        others = (first != NOBODY) & (first != everyone)
        yield np.stack([first[others], everyone[others]], axis=1)


def _one_a_cluster(cluster: Numbers, text: Numbers, fixed: int) -> Choice:
    everyone = np.arange(len(cluster), dtype=np.int32)
    kept_by = np.where((cluster == everyone) | (everyone < fixed), NOBODY, cluster)
    same = text == text[cluster]
    by = np.where(same, BY_TEXT, clusters.BY_SIMILARITY)
    return Choice(kept_by, by, np.where(same, np.float32(1.0), UNKNOWN).astype(np.float32))


REMOVED = pa.schema([pa.field("row", pa.int64()), *Duplicate.SCHEMA])
"""The removed documents of a shard: a spill between the decision and the shard's own part."""


def removed_tables(census: Census, removal: Removal) -> Iterator[pa.Table]:
    """For each of this month's shards its REMOVED rows, ascending; made for SHARDS_AT_ONCE, since addresses are most of their memory."""
    named = census.names(np.concatenate([removal.numbers, removal.kept, removal.cluster]))
    earlier = int(np.searchsorted(census.starts, census.earlier, side="right")) - 1
    starts = census.starts[earlier:]
    flat = census.flat_rows[removal.numbers]
    order = np.argsort(flat)
    bounds = np.searchsorted(flat, starts, sorter=order)
    for first in range(0, len(starts) - 1, SHARDS_AT_ONCE):
        ends = bounds[first : first + SHARDS_AT_ONCE + 1]
        chosen = order[ends[0] : ends[-1]]
        rows = flat[chosen] - np.repeat(starts[first : first + len(ends) - 1], np.diff(ends))
        table = _removed_rows(named, removal, chosen, rows)
        yield from (table.slice(low, high - low) for low, high in pairwise((ends - ends[0]).tolist()))


def _removed_rows(named: Names, removal: Removal, chosen: Places, rows: npt.NDArray[np.integer]) -> pa.Table:
    """The REMOVED rows of the `chosen` removals, `rows` within their shards."""
    mine, kept, first = (named.of(side[chosen]) for side in (removal.numbers, removal.kept, removal.cluster))
    same_text = np.asarray(pc.equal(mine.column("document_id"), kept.column("document_id")))
    return pa.table(
        {
            "row": rows,
            "document_id": mine.column("document_id"),
            "url": mine.column("url"),
            "kept_id": kept.column("document_id"),
            "kept_url": kept.column("url"),
            "cluster": first.column("document_id"),
            "reason": _reasons(removal.by[chosen], same_text),
            "similarity": removal.similarity[chosen],
        },
        schema=REMOVED,
    )


def _reasons(by: Numbers, same_text: npt.NDArray[np.bool_]) -> pa.Array:
    words = pa.array([str(reason) for reason in Reason])
    places = {reason: place for place, reason in enumerate(Reason)}
    equal = np.where(same_text, places[Reason.SAME_TEXT], places[Reason.SAME_NORMALISED_TEXT])
    ruled = np.select([by == BY_ADDRESS, by == BY_TEXT], [places[Reason.SAME_URL], equal], places[Reason.NEAR_DUPLICATE])
    return words.take(pa.array(ruled))


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

    def removed_rows(self) -> pa.Table:
        """The REMOVED rows."""
        with files.open_input(self.removed) as file:
            return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(self.batch)])


@dataclass(frozen=True)
class Publish:
    """The last work of some shards (ShardOutcome): their keep lists, duplicates, drops, books; their documents where they are rewritten."""

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Write what stays and what goes."""
        tables = [REMOVED.empty_table()]
        for shard in part.work:
            removed = shard.removed_rows()
            self._publish_shard(shard, removed, writer)
            tables.append(removed)
        removed = pa.concat_tables(tables).drop_columns(["row"])
        writer.publish_table("duplicates", removed.cast(Duplicate.SCHEMA))
        if removed.num_rows:
            writer.drop_table(_drops(removed))
        writer.counters["text_bytes"] -= writer.counters["bytes_cut"]

    def _publish_shard(self, shard: ShardOutcome, removed: pa.Table, writer: PartWriter) -> None:
        rows = files.read_table(shard.rows, ["document_id", "text_bytes"])
        stays = np.ones(rows.num_rows, bool)
        stays[removed.column("row").to_numpy()] = False
        writer.counters["text_bytes"] += int(rows.column("text_bytes").to_numpy()[stays].sum())
        if shard.rewriting:
            emptied = rewrite(shard.rewriting, np.flatnonzero(stays), writer)
            stays[emptied] = False
            for url in files.read_table(shard.rows, ["url"]).column("url").take(emptied).to_pylist():
                writer.drop(Drop(STAGE_NAME, url, Reason.NOTHING_LEFT))
        kept = np.flatnonzero(stays)
        table = pa.table({"row": kept, "document_id": rows.column("document_id").take(kept)}, schema=KEEP_SCHEMA)
        writer.publish_table("keep", table, f"keep-{shard.key}.parquet")
        writer.items_in += rows.num_rows
        writer.items_out += len(kept)
        writer.advance(rows.num_rows)


def _drops(removed: pa.Table) -> pa.Table:
    kept = [key.hex() for key in removed.column("kept_id").to_pylist()]
    return pa.table(
        [pa.repeat(STAGE_NAME, removed.num_rows), removed.column("url"), removed.column("reason"), kept], schema=Drop.SCHEMA
    )

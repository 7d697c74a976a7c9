"""Which documents are removed, by which rule, and which kept document stands for each.

A document is removed only if a kept one that precedes it in the order of `census` is similar to it: it has the same address, the
same text, the same words, or an exact Jaccard similarity at or above the threshold. The kept documents are the lexicographically
first maximal independent set of these pairs, so the result does not depend on the workers.

Where some duplicates are kept (`--remove-duplicates`), they are noted with the first document of their cluster, so that later stages
keep a cluster together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, pairwise
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import clusters
from pipeline.dedup.census import Census
from pipeline.dedup.choice import BY_ADDRESS, BY_SIMILARITY, BY_TEXT, NOBODY, Choice, choose
from pipeline.dedup.clusters import NodeNumbers
from pipeline.dedup.ranking import ClusterBatch
from pipeline.dedup.removals import EXACT, NEAR, NONE
from pipeline.records import required
from pipeline.storage import files

UNKNOWN = np.float32(np.nan)
SHARDS_AT_ONCE = 16

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
"""The removed rows of a shard, and with `by` NOBODY the kept duplicates: a spill between the decision and the shard's own part, which
knows the documents themselves."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Removed documents by number: kept document, rule (`choice.BY_…`), similarity (NaN: unknown), first of the cluster.

    Kept duplicates are noted too: their rule is NOBODY, and the first of the cluster stands for the kept document.
    """

    numbers: NodeNumbers
    kept: NodeNumbers
    by: NodeNumbers
    similarity: npt.NDArray[np.float32]
    cluster: NodeNumbers


def decide(census: Census, batches: Iterable[ClusterBatch], *, transitive: bool = False, remove: str = NEAR) -> Removal:
    """The documents to remove, batch by batch. `transitive` keeps one document per cluster; `remove` is one of REMOVALS."""
    nobody = np.empty(0, np.int32)
    removals = [Removal(nobody, nobody, nobody, np.empty(0, np.float32), nobody)]
    removals += (_decide(batch, census.earlier, transitive=transitive, remove=remove) for batch in batches)
    return Removal(*(np.concatenate([getattr(removal, field.name) for removal in removals]) for field in fields(Removal)))


def _decide(batch: ClusterBatch, earlier: int, *, transitive: bool, remove: str) -> Removal:
    numbers, text = batch.numbers, batch.text
    fixed = int(np.searchsorted(numbers, earlier))
    choice = None if transitive else _choose(batch, fixed, remove)
    cluster = clusters.components(len(numbers), chain(_equal_edges(batch), batch.edges()))
    kept_by, by, similarity = choice or _one_per_cluster(cluster, text, fixed)
    similarity[(by == BY_ADDRESS) & (text != text[kept_by])] = UNKNOWN
    listed = kept_by != NOBODY
    if remove != NEAR:
        nodes = np.arange(len(numbers), dtype=np.int32)
        kept_duplicates = ~listed & (cluster != nodes) & (nodes >= fixed)
        kept_by, similarity = np.where(kept_duplicates, cluster, kept_by), np.where(kept_duplicates, np.float32(0), similarity)
        listed |= kept_duplicates
    chosen = np.flatnonzero(listed)
    return Removal(numbers[chosen], numbers[kept_by[chosen]], by[chosen], similarity[chosen], numbers[cluster[chosen]])


def _choose(batch: ClusterBatch, fixed: int, remove: str) -> Choice:
    """Which documents are removed in favour of which."""
    if remove == NONE:
        return Choice.nothing(len(batch.numbers))
    likeness = batch.likeness(fixed)
    return choose(likeness.equal() if remove == EXACT else likeness)


def _equal_edges(batch: ClusterBatch) -> Iterator[clusters.Edges]:
    """The groups of equal documents as edges from the first of each group to the others."""
    nodes = np.arange(len(batch.numbers), dtype=np.int32)
    for first in (batch.address, batch.text):
        others = first != nodes
        yield np.stack([first[others], nodes[others]], axis=1)


def _one_per_cluster(cluster: NodeNumbers, text: NodeNumbers, fixed: int) -> Choice:
    nodes = np.arange(len(cluster), dtype=np.int32)
    kept_by = np.where((cluster == nodes) | (nodes < fixed), NOBODY, cluster)
    same = text == text[cluster]
    by = np.where(same, BY_TEXT, BY_SIMILARITY)
    return Choice(kept_by, by, np.where(same, np.float32(1.0), UNKNOWN).astype(np.float32))


def removed_tables(census: Census, removal: Removal, shards: int) -> Iterator[pa.Table]:
    """The REMOVED rows of each of this month's `shards`, which are the last ones of the census, ascending.

    They are made for SHARDS_AT_ONCE shards at a time, since addresses take most of their memory.
    """
    names = census.names(np.concatenate([removal.kept, removal.cluster]))
    starts = census.starts[len(census.starts) - shards - 1 :]
    flat = census.flat_rows[removal.numbers]
    order = np.argsort(flat)
    bounds = np.searchsorted(flat, starts, sorter=order)
    for first in range(0, len(starts) - 1, SHARDS_AT_ONCE):
        ends = bounds[first : first + SHARDS_AT_ONCE + 1]
        chosen = order[ends[0] : ends[-1]]
        kept, cluster = (names.of(side[chosen]) for side in (removal.kept, removal.cluster))
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
    """Write the REMOVED rows of all shards to one file, a record batch per shard: hundreds of small files take long to create."""

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, REMOVED) as writer:
            for table in tables:
                (batch,) = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], REMOVED)]
                writer.write_batch(batch)

    files.publish(path, write, kept=False)

"""The spill: accepted submissions of one source as an Arrow file, in blocks of slots, for the fold to read slot by slot."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipeline.links.buckets import HASH_BITS, SLOT_BITS
from pipeline.records import INSTANT
from pipeline.storage import files

SPILL = pa.schema(
    [
        pa.field("host_hash", pa.uint32()),
        pa.field("dedup_key", pa.string()),
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("id", pa.string()),
        pa.field("subreddit", pa.string()),
        pa.field("karma", pa.int64()),
        pa.field("created_at", INSTANT),
    ]
)


def by_slot(block: pa.Table) -> Iterator[pa.RecordBatch]:
    """The block as 2^SLOT_BITS batches, one per slot, empty ones included: the number of a batch in the file gives its slot."""
    hashes = block.column("host_hash").to_numpy()
    order = np.argsort(hashes, kind="stable")
    bounds = np.searchsorted(hashes[order], np.arange(1, 1 << SLOT_BITS, dtype=np.uint64) << (HASH_BITS - SLOT_BITS))
    table = block.take(pa.array(order)).combine_chunks()
    (batch,) = table.to_batches()
    for start, end in zip([0, *bounds], [*bounds, len(order)], strict=True):
        yield batch.slice(start, end - start)


def read_slots(spills: Sequence[str], low: int, high: int) -> pa.Table:
    """The submissions in the slots `low` to `high` (excluded) of every spill."""
    batches = []
    for path in spills:
        with files.open_batches(path) as reader:
            for block in range(0, reader.num_record_batches, 1 << SLOT_BITS):
                batches += [b for slot in range(low, high) if (b := reader.get_batch(block + slot)).num_rows]
    return pa.Table.from_batches(batches, schema=SPILL)

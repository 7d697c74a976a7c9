"""TODO-DOC."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from pipeline.records import INSTANT
from pipeline.storage import files

SLOT_BITS = 8

PLACE_BITS = 32

SPILL = pa.schema(
    [
        pa.field("place", pa.uint32()),
        pa.field("dedup_key", pa.string()),
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("id", pa.string()),
        pa.field("subreddit", pa.string()),
        pa.field("karma", pa.int64()),
        pa.field("created_at", INSTANT),
    ]
)


@lru_cache(maxsize=1 << 16)
def place_of(host: str) -> int:
    """Where a host lies among 2^32 places: buckets and slots are its highest bits."""
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=PLACE_BITS // 8).digest(), "big")


def by_slot(block: pa.Table) -> Iterator[pa.RecordBatch]:
    """The block as 2^SLOT_BITS batches, a slot each, empty ones too: a slot's batches stand at known numbers of the file."""
    places = block.column("place").to_numpy()
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(1, 1 << SLOT_BITS, dtype=np.uint64) << (PLACE_BITS - SLOT_BITS))
    table = block.take(pa.array(order)).combine_chunks()
    (batch,) = table.to_batches()
    for start, end in zip([0, *bounds], [*bounds, len(order)], strict=True):
        yield batch.slice(start, end - start)


def read_slots(spills: Sequence[str], low: int, high: int) -> pa.Table:
    """The slots `low` to `high` (excluded) of every spill."""
    batches = []
    for path in spills:
        with files.open_input(path) as file:
            reader = pa.ipc.open_file(file)
            for block in range(0, reader.num_record_batches, 1 << SLOT_BITS):
                batches += [b for slot in range(low, high) if (b := reader.get_batch(block + slot)).num_rows]
    return pa.Table.from_batches(batches, schema=SPILL)

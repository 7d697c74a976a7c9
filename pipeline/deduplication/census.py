"""A number for every document, in the order of choice, and the groups of documents that are equal by address or by words.

The order: documents of earlier months, then the earliest submission (unknown last), the highest karma, the least document id, the least
hash of the dedup key. It takes some 100 bytes a document in one process: 8 million documents, 0.8 GB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.deduplication.clusters import NOBODY
from pipeline.deduplication.signatures import ROWS, SignedShard
from pipeline.minhash import Words64

Numbers = npt.NDArray[np.int64]
ABSENT = 0xFFFFFFFF
"""In place of the number of a document that takes no part in the comparison of shingles."""
_COLUMNS = ["document_id", "address", "words", "karma", "submitted_at", "units", "shingles"]
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Census:
    """All documents, earlier months' first, known by their numbers; a flat row counts them shard after shard.

    `address` and `text` give for each number the least number of equal address or equal words (NOBODY for a text without a word);
    `compared` says whether its shingles are compared: one document a text is enough.
    """

    shards: tuple[SignedShard, ...]
    starts: Numbers
    earlier: int
    numbers: Numbers
    address: Numbers
    text: Numbers
    compared: npt.NDArray[np.bool_]

    @cached_property
    def flat_rows(self) -> Numbers:
        """The flat row of each number."""
        rows = np.empty_like(self.numbers)
        rows[self.numbers] = np.arange(len(self.numbers))
        return rows

    def of_shard(self, shard: int) -> Numbers:
        """The numbers of a shard's rows."""
        return self.numbers[self.starts[shard] : self.starts[shard + 1]]

    def compared_numbers(self, shard: int) -> npt.NDArray[np.uint32]:
        """For each row of a shard its number if its shingles are compared, else ABSENT."""
        numbers = self.of_shard(shard)
        return np.where(self.compared[numbers], numbers, ABSENT).astype(np.uint32)


def take(shards: Sequence[SignedShard], earlier: Sequence[SignedShard] = ()) -> Census:
    """Count and order the selected documents of `earlier` shards and of `shards`."""
    everyone = (*earlier, *shards)
    tables = [shard.table(_COLUMNS) for shard in everyone]
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    table = pa.concat_tables([ROWS.empty_table().select(_COLUMNS), *tables]).combine_chunks()
    if table.num_rows >= ABSENT:
        raise ValueError(f"{table.num_rows} documents at once: at most {ABSENT - 1}; compare month by month (--against)")
    older = int(starts[len(earlier)])
    order = _order(table, older)
    table = table.take(order)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(len(order))
    shingled = table.column("shingles").to_numpy() > 0
    content = np.where(shingled[:, None], _halves(table, "words"), _halves(table, "document_id"))
    text = np.where(table.column("units").to_numpy() > 0, _first_equal(content), NOBODY)
    compared = shingled & (text == np.arange(len(text)))
    return Census(everyone, starts, older, numbers, _first_equal(_halves(table, "address")), text, compared)


def _order(table: pa.Table, older: int) -> Numbers:
    """The flat rows in the order of choice."""
    submitted = table.column("submitted_at").cast(pa.int64()).fill_null(_NEVER).to_numpy()
    later = np.arange(table.num_rows) >= older
    ids, addresses = _halves(table, "document_id").byteswap(), _halves(table, "address")
    ties = (addresses[:, 1], addresses[:, 0], ids[:, 1], ids[:, 0])
    return np.lexsort((*ties, -table.column("karma").to_numpy(), submitted, later))


def _halves(table: pa.Table, column: str) -> Words64:
    """A column of 16-byte keys as (rows, 2) uint64."""
    keys = table.column(column).combine_chunks()
    if not len(keys):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(keys.buffers()[1], "<u8").reshape(-1, 2)[keys.offset : keys.offset + len(keys)]


def _first_equal(keys: Words64) -> Numbers:
    """For each row the least row with the same key."""
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal keys stay ascending
    ordered = keys[order]
    begins = np.ones(len(keys), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(keys), np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first

"""A number for every document, in the order of choice, and the groups of documents that are equal by address or by words.

The order: documents of earlier months, then the earliest submission (unknown last), the highest karma, the least document id, the least
hash of the dedup key. It takes 70 bytes a document in one process while it is made, 25 afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.deduplication.clusters import NOBODY, Numbers
from pipeline.deduplication.repeats import may_repeat
from pipeline.deduplication.signatures import ROWS, SignedShard
from pipeline.minhash import Words64

Rows = npt.NDArray[np.int64]
ABSENT = 0xFFFFFFFF
"""In place of the number of a document that takes no part in the comparison of shingles."""
MOST = np.iinfo(np.int32).max
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Census:
    """All documents, earlier months' first, known by their numbers; a flat row counts them shard after shard.

    `address` and `text` give for each number the least number of equal address or equal words (NOBODY for a text without a word);
    `shingles` counts those to compare, of one document a text: one is enough.
    """

    shards: tuple[SignedShard, ...]
    starts: Rows
    earlier: int
    numbers: Numbers
    address: Numbers
    text: Numbers
    shingles: npt.NDArray[np.uint32]

    @cached_property
    def flat_rows(self) -> Numbers:
        """The flat row of each number."""
        rows = np.empty_like(self.numbers)
        rows[self.numbers] = np.arange(len(self.numbers), dtype=np.int32)
        return rows

    def of_shard(self, shard: int) -> Numbers:
        """The numbers of a shard's rows."""
        return self.numbers[self.starts[shard] : self.starts[shard + 1]]

    def compared_numbers(self) -> npt.NDArray[np.uint32]:
        """For each flat row its number if its shingles are compared, else ABSENT."""
        return np.where(self.shingles[self.numbers] > 0, self.numbers.view(np.uint32), np.uint32(ABSENT))

    def table(self, numbers: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
        """Columns of the index, a row for each of the numbers."""
        return _taken(self.shards, self.starts, self.flat_rows[numbers], columns)


def take(shards: Sequence[SignedShard], earlier: Sequence[SignedShard] = ()) -> Census:
    """Count and order the selected documents of `earlier` shards and of `shards`."""
    everyone = (*earlier, *shards)
    starts = first_rows(everyone)
    count, older = int(starts[-1]), int(starts[len(earlier)])
    if count > MOST:
        raise ValueError(f"{count} documents at once: at most {MOST}; compare month by month (--against)")
    index = _read(everyone, starts)
    ties = partial(_ties, everyone, starts, index.address)
    numbers = np.empty(count, np.int32)
    for first, last in ((0, older), (older, count)):
        numbers[_order(index.submitted, first, last, ties)] = np.arange(first, last, dtype=np.int32)
    text = _least_equal(index.content, numbers)
    text[numbers[~index.has_units]] = NOBODY
    shingles = np.empty(count, np.uint32)
    shingles[numbers] = index.shingles
    shingles[text != np.arange(count, dtype=np.int32)] = 0
    return Census(everyone, starts, older, numbers, _least_equal(index.address, numbers), text, shingles)


class _Index(NamedTuple):
    """Columns of all indexes, by flat row; `content` is the hash of the words, or the document's id where there is no shingle."""

    submitted: Rows
    has_units: npt.NDArray[np.bool_]
    shingles: npt.NDArray[np.uint32]
    address: Words64
    content: Words64


def _read(shards: Sequence[SignedShard], starts: Rows) -> _Index:
    count = int(starts[-1])
    keys = np.empty((2, count, 2), np.uint64)
    found = _Index(np.empty(count, np.int64), np.empty(count, bool), np.empty(count, np.uint32), keys[0], keys[1])
    for shard, (start, stop) in zip(shards, pairwise(starts), strict=True):
        table = shard.table(["document_id", "address", "words", "submitted_at", "units", "shingles"])
        found.submitted[start:stop] = table.column("submitted_at").cast(pa.int64()).fill_null(_NEVER)
        found.has_units[start:stop] = table.column("units")
        found.shingles[start:stop] = table.column("shingles")
        found.address[start:stop] = _halves(table, "address")
        shingled = found.shingles[start:stop, None] > 0
        found.content[start:stop] = np.where(shingled, _halves(table, "words"), _halves(table, "document_id"))
    return found


def _ties(shards: Sequence[SignedShard], starts: Rows, address: Words64, rows: Rows) -> tuple[npt.NDArray[Any], ...]:
    """What decides between flat rows of equal submission, the last key first."""
    table = _taken(shards, starts, rows, ["document_id", "karma"])
    ids = _halves(table, "document_id").byteswap()
    return (address[rows, 1], address[rows, 0], ids[:, 1], ids[:, 0], -table.column("karma").to_numpy())


def first_rows(shards: Sequence[SignedShard]) -> Rows:
    """The flat row of each shard's first document, and how many there are in all."""
    return np.cumsum([0, *(shard.documents for shard in shards)])


def _order(submitted: Rows, first: int, last: int, ties: Callable[[Rows], tuple[npt.NDArray[Any], ...]]) -> Rows:
    """The flat rows from `first` to `last` in the order of choice."""
    order = np.argsort(submitted[first:last])
    order += first
    ordered, same = submitted[order], np.zeros(len(order) + 1, bool)
    same[1:-1] = ordered[1:] == ordered[:-1]
    tied = np.flatnonzero(same[1:] | same[:-1])
    rows = order[tied]
    if len(rows):
        order[tied] = rows[np.lexsort((*ties(rows), submitted[rows]))]
    return order


def _least_equal(keys: Words64, numbers: Numbers) -> Numbers:
    """For each number the least with the same key; `keys` (rows, 2) are those of flat rows."""
    rows = np.flatnonzero(may_repeat(np.ascontiguousarray(keys[:, 0])))
    rows = rows[np.lexsort((numbers[rows], keys[rows, 1], keys[rows, 0]))]
    begins = np.ones(len(rows), bool)
    begins[1:] = (keys[rows[1:]] != keys[rows[:-1]]).any(axis=1)
    least = np.arange(len(keys), dtype=np.int32)
    least[numbers[rows]] = numbers[rows[begins]][np.cumsum(begins) - 1]
    return least


def _taken(shards: Sequence[SignedShard], starts: Rows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """Columns of the shards' indexes, a row for each flat row."""
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], starts)
    tables = [ROWS.empty_table().select(columns)]
    for shard, start, (low, high) in zip(shards, starts[:-1], pairwise(bounds), strict=True):
        if low < high:
            tables.append(shard.table(columns).take(flat[order[low:high]] - start))
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return pa.concat_tables(tables).take(back)


def _halves(table: pa.Table, column: str) -> Words64:
    """A column of 16-byte keys as (rows, 2) uint64."""
    keys = table.column(column).combine_chunks()
    if not len(keys):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(keys.buffers()[1], "<u8").reshape(-1, 2)[keys.offset : keys.offset + len(keys)]

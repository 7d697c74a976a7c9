"""The census: a number for every document in the order of preference, and which documents have an equal address or equal words.

Of two similar documents the one with the lower number is kept. The order is: documents of earlier months, then earliest
submission (unknown last), highest karma, least document id, least hash of the dedup key. One process makes the census, with 17
bytes per document while it does and 5 bytes afterwards; everything else that it holds grows with the duplicates alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.clusters import NodeNumbers, Pairs, pack_pairs, unpack_pairs
from pipeline.dedup.index import INDEX_ROWS, ShardIndex
from pipeline.dedup.repeated_keys import may_repeat
from pipeline.dedup.string_hashes import UInt64Array
from pipeline.storage import arrays

FlatRows = npt.NDArray[np.int64]

ABSENT = 0xFFFFFFFF
"""Stands for the number of a document whose shingles are not compared."""
MAX_DOCUMENTS = np.iinfo(np.int32).max
KEY_COLUMNS = ["address", "words", "document_id", "shingles"]
"""The columns of an index that decide to which documents one is equal."""
_NO_TIME = np.iinfo(np.int64).max
_NO_TIME_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Census:
    """All documents by number, earlier months' first. A flat row counts them shard after shard.

    `flat_rows` has the flat row of each number. `same_address` and `same_text` pair the least number of each group of equal
    documents with each other one. `compared` is True for the flat rows whose shingles are compared: one document per text is
    enough.
    """

    shards: tuple[ShardIndex, ...]
    starts: FlatRows
    earlier: int
    flat_rows: NodeNumbers
    same_address: Pairs
    same_text: Pairs
    compared: npt.NDArray[np.bool_]

    @property
    def documents(self) -> int:
        """The count of documents."""
        return len(self.flat_rows)

    def numbers(self) -> NodeNumbers:
        """The number of each flat row."""
        return _inverse(self.flat_rows)

    def compared_numbers(self) -> npt.NDArray[np.uint32]:
        """The number of each flat row whose shingles are compared, ABSENT for others."""
        numbers = self.numbers().view(np.uint32)
        numbers[~self.compared] = ABSENT
        return numbers

    def names(self, numbers: NodeNumbers) -> "DocumentNames":
        """Ids and addresses of the documents with these numbers."""
        flat = arrays.distinct(self.flat_rows[numbers])
        table = _rows_at(self.shards, self.starts, flat, ["document_id", "url"]).combine_chunks()
        return DocumentNames(self, flat, table)


@dataclass(frozen=True, slots=True)
class DocumentNames:
    """Ids and addresses of some documents: those of the `flat` rows, ascending."""

    census: Census
    flat: NodeNumbers
    table: pa.Table

    def of(self, numbers: NodeNumbers) -> pa.Table:
        """A row for each of the numbers."""
        return self.table.take(np.searchsorted(self.flat, self.census.flat_rows[numbers]))


def take_census(shards: Sequence[ShardIndex], earlier: Sequence[ShardIndex] = ()) -> Census:
    """Count and order the selected documents of the `earlier` shards and of `shards`."""
    all_shards = (*earlier, *shards)
    starts = first_rows(all_shards)
    count, older = int(starts[-1]), int(starts[len(earlier)])
    if count > MAX_DOCUMENTS:
        raise ValueError(f"{count} documents at once: at most {MAX_DOCUMENTS}; compare month by month (--against)")
    order, compared = np.empty(count, "<u8"), np.empty(count, bool)
    for table, rows in _tables(all_shards, starts, ["submitted_at", "shingles"]):
        order[rows], compared[rows] = _times(table), table.column("shingles").to_numpy() > 0
    for first, last in ((0, older), (older, count)):
        _sort(order[first:last], first, partial(_tie_keys, all_shards, starts))
    flat_rows = order.astype(np.uint32).view(np.int32)
    del order
    same_address, same_text = _equal_documents(all_shards, starts, _inverse(flat_rows))
    compared[flat_rows[unpack_pairs(same_text)[1]]] = False
    return Census(all_shards, starts, older, flat_rows, same_address, same_text, compared)


def first_rows(shards: Sequence[ShardIndex]) -> FlatRows:
    """The flat row of each shard's first document, and the count of all documents at the end."""
    return np.cumsum([0, *(shard.documents for shard in shards)])


def _inverse(flat_rows: NodeNumbers) -> NodeNumbers:
    numbers = np.empty_like(flat_rows)
    numbers[flat_rows] = np.arange(len(flat_rows), dtype=np.int32)
    return numbers


def _sort(order: UInt64Array, first: int, tie_keys: Callable[[FlatRows], tuple[npt.NDArray[Any], ...]]) -> None:
    """Replace the times of the flat rows from `first` on by the rows in the order of preference, in the low halves.

    The sort is in place, of the upper bits of the times, each with its row: a third of the memory of an argsort. `tie_keys` gives
    the sort keys of rows whose upper bits are equal, the least significant key first.
    """
    if not len(order):
        return
    least = order.min()
    order -= least
    latest = int(np.max(order, where=order != _NO_TIME_KEY - least, initial=0))
    order >>= np.uint64(max(0, latest.bit_length() - 32))
    np.minimum(order, np.uint64(ABSENT), out=order)
    order <<= np.uint64(32)
    row, time = order.view("<u4")[0::2], order.view("<u4")[1::2]
    row[:] = np.arange(first, first + len(order), dtype=np.uint32)
    order.sort()
    tied = np.flatnonzero(_has_equal_neighbour(time))
    if len(tied):
        rows = row[tied].astype(np.int64)
        row[tied] = rows[np.lexsort((*tie_keys(rows), time[tied]))]


def _has_equal_neighbour(ascending: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.bool_]:
    """True for each value that occurs twice."""
    same = np.zeros(len(ascending) + 1, bool)
    same[1:-1] = ascending[1:] == ascending[:-1]
    return same[1:] | same[:-1]


def _equal_documents(shards: Sequence[ShardIndex], starts: FlatRows, numbers: NodeNumbers) -> tuple[Pairs, Pairs]:
    """For each repeated address, and for each repeated text, the least number paired with each other one.

    `numbers` has the number of each flat row. All keys are tested by 32 bits; only those that may repeat are read whole.
    """
    low = np.empty((2, len(numbers)), np.uint32)
    for table, here in _tables(shards, starts, KEY_COLUMNS):
        low[0, here], low[1, here] = _halves(table, "address")[:, 0], _content(table)[:, 0]
    address, text = map(may_repeat, low)
    del low
    rows = np.flatnonzero(address | text)
    table = _rows_at(shards, starts, rows, [*KEY_COLUMNS, "text_bytes"])
    address, text = address[rows], text[rows] & (table.column("text_bytes").to_numpy() > 0)
    numbers = numbers[rows]
    return _pair_equal(_halves(table, "address")[address], numbers[address]), _pair_equal(_content(table)[text], numbers[text])


def _pair_equal(keys: UInt64Array, numbers: NodeNumbers) -> Pairs:
    """For each repeated key the least number that has it, paired with each other one."""
    order = np.argsort(keys[:, 0])
    order = order[_has_equal_neighbour(keys[order, 0])]
    order = order[np.lexsort((numbers[order], keys[order, 1], keys[order, 0]))]
    keys, numbers = keys[order], numbers[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return pack_pairs(numbers[begins][np.cumsum(begins) - 1][~begins], numbers[~begins])


def _tables(shards: Sequence[ShardIndex], starts: FlatRows, columns: list[str]) -> Iterator[tuple[pa.Table, slice]]:
    """Columns of each index, and the slice of its flat rows."""
    for shard, (start, stop) in zip(shards, pairwise(starts.tolist()), strict=True):
        yield shard.table(columns), slice(start, stop)


def _times(table: pa.Table) -> UInt64Array:
    """Sort keys that ascend with the time of submission, unknown times last."""
    times: FlatRows = table.column("submitted_at").cast(pa.int64()).fill_null(_NO_TIME).to_numpy()
    return times.view(np.uint64) ^ np.uint64(1 << 63)


def _content(table: pa.Table) -> UInt64Array:
    """The hash of the words, or the document's id where there is no shingle."""
    shingled = table.column("shingles").to_numpy()[:, None] > 0
    return np.where(shingled, _halves(table, "words"), _halves(table, "document_id"))


def _tie_keys(shards: Sequence[ShardIndex], starts: FlatRows, rows: FlatRows) -> tuple[npt.NDArray[Any], ...]:
    """Sort keys of flat rows of nearly equal time, the least significant first."""
    table = _rows_in_order(shards, starts, rows, ["document_id", "address", "karma", "submitted_at"])
    address, ids = _halves(table, "address"), _halves(table, "document_id").byteswap()
    return (address[:, 1], address[:, 0], ids[:, 1], ids[:, 0], -table.column("karma").to_numpy(), _times(table))


def _rows_in_order(shards: Sequence[ShardIndex], starts: FlatRows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """Columns of the indexes: a row per flat row, in the given order."""
    order = np.argsort(flat, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return _rows_at(shards, starts, flat[order], columns).take(back)


def _rows_at(shards: Sequence[ShardIndex], starts: FlatRows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """Columns of the indexes: a row per flat row; the flat rows ascend."""
    bounds = np.searchsorted(flat, starts)
    tables = [INDEX_ROWS.empty_table().select(columns)]
    for shard, start, (low, high) in zip(shards, starts[:-1], pairwise(bounds), strict=True):
        if low < high:
            tables.append(shard.table(columns).take(flat[low:high] - start))
    return pa.concat_tables(tables)


def _halves(table: pa.Table, column: str) -> UInt64Array:
    """A column of 16-byte keys as uint64 of shape (rows, 2)."""
    keys = table.column(column).combine_chunks()
    if not len(keys):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(keys.buffers()[1], "<u8").reshape(-1, 2)[keys.offset : keys.offset + len(keys)]

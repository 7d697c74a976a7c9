"""A number for every document, in the order of choice, and which documents are equal by address or by words.

The order: documents of earlier months, then the earliest submission (unknown last), the highest karma, the least document id, the least
hash of the dedup key. It takes 17 bytes a document in one process while it is made, 5 afterwards; what else is held grows with the
duplicates alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.clusters import Numbers, Pairs, packed, unpacked
from pipeline.dedup.index import ROWS, SignedShard
from pipeline.dedup.minhash import Words64
from pipeline.dedup.repeated_keys import may_repeat
from pipeline.storage import arrays

Rows = npt.NDArray[np.int64]

ABSENT = 0xFFFFFFFF
"""In place of the number of a document that takes no part in the comparison of shingles."""
MOST = np.iinfo(np.int32).max
_NEVER = np.iinfo(np.int64).max
KEYED = ["address", "words", "document_id", "shingles"]
"""The columns of an index that say to what a document may be equal."""
_NO_TIME = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Census:
    """All documents, earlier months' first, known by their numbers; a flat row counts them shard after shard.

    `flat_rows` has that of each number. `same_address` and `same_text` pair the least number of equal ones with each other one;
    `compared` says of each flat row whether its shingles are: of one document a text, since one is enough.
    """

    shards: tuple[SignedShard, ...]
    starts: Rows
    earlier: int
    flat_rows: Numbers
    same_address: Pairs
    same_text: Pairs
    compared: npt.NDArray[np.bool_]

    @property
    def documents(self) -> int:
        """How many there are."""
        return len(self.flat_rows)

    def numbers(self) -> Numbers:
        """The number of each flat row."""
        return _inverse(self.flat_rows)

    def compared_numbers(self) -> npt.NDArray[np.uint32]:
        """For each flat row its number if its shingles are compared, else ABSENT."""
        numbers = self.numbers().view(np.uint32)
        numbers[~self.compared] = ABSENT
        return numbers

    def names(self, numbers: Numbers) -> "Names":
        """Ids and addresses of those documents."""
        flat = arrays.distinct(self.flat_rows[numbers])
        return Names(self, flat, _picked(self.shards, self.starts, flat, ["document_id", "url"]).combine_chunks())


@dataclass(frozen=True, slots=True)
class Names:
    """Ids and addresses of some documents: of the `flat` rows, ascending."""

    census: Census
    flat: Numbers
    table: pa.Table

    def of(self, numbers: Numbers) -> pa.Table:
        """A row for each of the numbers."""
        return self.table.take(np.searchsorted(self.flat, self.census.flat_rows[numbers]))


def take(shards: Sequence[SignedShard], earlier: Sequence[SignedShard] = ()) -> Census:
    """Count and order the selected documents of `earlier` shards and of `shards`."""
    everyone = (*earlier, *shards)
    starts = first_rows(everyone)
    count, older = int(starts[-1]), int(starts[len(earlier)])
    if count > MOST:
        raise ValueError(f"{count} documents at once: at most {MOST}; compare month by month (--against)")
    order, compared = np.empty(count, "<u8"), np.empty(count, bool)
    for table, rows in _tables(everyone, starts, ["submitted_at", "shingles"]):
        order[rows], compared[rows] = _times(table), table.column("shingles").to_numpy() > 0
    for first, last in ((0, older), (older, count)):
        _sort(order[first:last], first, partial(_ties, everyone, starts))
    flat_rows = order.astype(np.uint32).view(np.int32)
    del order
    same_address, same_text = _equals(everyone, starts, _inverse(flat_rows))
    compared[flat_rows[unpacked(same_text)[1]]] = False
    return Census(everyone, starts, older, flat_rows, same_address, same_text, compared)


def first_rows(shards: Sequence[SignedShard]) -> Rows:
    """The flat row of each shard's first document, and how many there are in all."""
    return np.cumsum([0, *(shard.documents for shard in shards)])


def _inverse(flat_rows: Numbers) -> Numbers:
    numbers = np.empty_like(flat_rows)
    numbers[flat_rows] = np.arange(len(flat_rows), dtype=np.int32)
    return numbers


def _sort(order: Words64, first: int, ties: Callable[[Rows], tuple[npt.NDArray[Any], ...]]) -> None:
    """Make of the times of flat rows, `first` and those after it, the rows in the order of choice, in the low halves.

    What is sorted are the upper bits of the times, each with its row, in place: a third of the memory of an argsort. `ties` has the keys
    of rows where those bits are equal, the last one first.
    """
    if not len(order):
        return
    least = order.min()
    order -= least
    latest = int(np.max(order, where=order != _NO_TIME - least, initial=0))
    order >>= np.uint64(max(0, latest.bit_length() - 32))
    np.minimum(order, np.uint64(ABSENT), out=order)
    order <<= np.uint64(32)
    row, time = order.view("<u4")[0::2], order.view("<u4")[1::2]
    row[:] = np.arange(first, first + len(order), dtype=np.uint32)
    order.sort()
    tied = np.flatnonzero(_beside_equal(time))
    if len(tied):
        rows = row[tied].astype(np.int64)
        row[tied] = rows[np.lexsort((*ties(rows), time[tied]))]


def _beside_equal(ascending: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.bool_]:
    """Which values are there twice."""
    same = np.zeros(len(ascending) + 1, bool)
    same[1:-1] = ascending[1:] == ascending[:-1]
    return same[1:] | same[:-1]


def _equals(shards: Sequence[SignedShard], starts: Rows, numbers: Numbers) -> tuple[Pairs, Pairs]:
    """Of each address that is there twice, and of each text, the least number with each other one; `numbers` are those of flat rows.

    All keys are looked at by 32 bits, and those that may be there twice are read.
    """
    low = np.empty((2, len(numbers)), np.uint32)
    for table, here in _tables(shards, starts, KEYED):
        low[0, here], low[1, here] = _halves(table, "address")[:, 0], _content(table)[:, 0]
    address, text = map(may_repeat, low)
    del low
    rows = np.flatnonzero(address | text)
    table = _picked(shards, starts, rows, [*KEYED, "units"])
    address, text = address[rows], text[rows] & (table.column("units").to_numpy() > 0)
    numbers = numbers[rows]
    return _paired(_halves(table, "address")[address], numbers[address]), _paired(_content(table)[text], numbers[text])


def _paired(keys: Words64, numbers: Numbers) -> Pairs:
    """The least number of each key that is there twice, with each other one that has it."""
    order = np.argsort(keys[:, 0])
    order = order[_beside_equal(keys[order, 0])]
    order = order[np.lexsort((numbers[order], keys[order, 1], keys[order, 0]))]
    keys, numbers = keys[order], numbers[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return packed(numbers[begins][np.cumsum(begins) - 1][~begins], numbers[~begins])


def _tables(shards: Sequence[SignedShard], starts: Rows, columns: list[str]) -> Iterator[tuple[pa.Table, slice]]:
    """Those columns of each index, and which flat rows they are."""
    for shard, (start, stop) in zip(shards, pairwise(starts.tolist()), strict=True):
        yield shard.table(columns), slice(start, stop)


def _times(table: pa.Table) -> Words64:
    """Ascending with the time of submission, unknown ones last."""
    times: Rows = table.column("submitted_at").cast(pa.int64()).fill_null(_NEVER).to_numpy()
    return times.view(np.uint64) ^ np.uint64(1 << 63)


def _content(table: pa.Table) -> Words64:
    """The hash of the words, or the document's id where there is no shingle."""
    shingled = table.column("shingles").to_numpy()[:, None] > 0
    return np.where(shingled, _halves(table, "words"), _halves(table, "document_id"))


def _ties(shards: Sequence[SignedShard], starts: Rows, rows: Rows) -> tuple[npt.NDArray[Any], ...]:
    """What decides between flat rows of about the same time, the last key first."""
    table = _taken(shards, starts, rows, ["document_id", "address", "karma", "submitted_at"])
    address, ids = _halves(table, "address"), _halves(table, "document_id").byteswap()
    return (address[:, 1], address[:, 0], ids[:, 1], ids[:, 0], -table.column("karma").to_numpy(), _times(table))


def _taken(shards: Sequence[SignedShard], starts: Rows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """Columns of the shards' indexes, a row for each flat row."""
    order = np.argsort(flat, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return _picked(shards, starts, flat[order], columns).take(back)


def _picked(shards: Sequence[SignedShard], starts: Rows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """The same for flat rows that ascend."""
    bounds = np.searchsorted(flat, starts)
    found = [ROWS.empty_table().select(columns)]
    for shard, start, (low, high) in zip(shards, starts[:-1], pairwise(bounds), strict=True):
        if low < high:
            found.append(shard.table(columns).take(flat[low:high] - start))
    return pa.concat_tables(found)


def _halves(table: pa.Table, column: str) -> Words64:
    """A column of 16-byte keys as (rows, 2) uint64."""
    keys = table.column(column).combine_chunks()
    if not len(keys):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(keys.buffers()[1], "<u8").reshape(-1, 2)[keys.offset : keys.offset + len(keys)]

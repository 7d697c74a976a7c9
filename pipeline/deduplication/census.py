"""A number for every document, in the order of choice, and the groups of documents that are equal by address or by words.

The order: documents of earlier months, then the earliest submission (unknown last), the highest karma, the least document id, the least
hash of the dedup key. It takes 50 bytes a document in one process while it is made, 20 afterwards.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import arrays
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

    def names(self, numbers: Numbers) -> "Names":
        """Ids and addresses of those documents."""
        flat = arrays.distinct(self.flat_rows[numbers])
        return Names(
            self, flat, pa.concat_tables(_picked(self.shards, self.starts, flat, ["document_id", "url"])).combine_chunks()
        )


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
    numbers = _numbers(everyone, starts, older)
    shingles = np.empty(count, np.uint32)
    shingles[numbers] = _filled(everyone, starts, np.empty(count, np.uint32), ["shingles"], _only)
    wordless = np.flatnonzero(_filled(everyone, starts, np.empty(count, bool), ["units"], lambda table: _only(table) == 0))
    text = _least_equal(_keys(everyone, starts, ["words", "document_id", "shingles"], _content), numbers)
    text[numbers[wordless]] = NOBODY
    shingles[text != np.arange(count, dtype=np.int32)] = 0
    address = _least_equal(_keys(everyone, starts, ["address"], partial(_halves, column="address")), numbers)
    return Census(everyone, starts, older, numbers, address, text, shingles)


def _numbers(shards: Sequence[SignedShard], starts: Rows, older: int) -> Numbers:
    """The number of each flat row: its place in the order of choice."""
    count = int(starts[-1])
    submitted = _filled(shards, starts, np.empty(count, np.int64), ["submitted_at"], _submitted)
    numbers = np.empty(count, np.int32)
    for first, last in ((0, older), (older, count)):
        numbers[_order(submitted, first, last, partial(_ties, shards, starts))] = np.arange(first, last, dtype=np.int32)
    return numbers


def _keys(shards: Sequence[SignedShard], starts: Rows, columns: list[str], read: Callable[[pa.Table], Words64]) -> Words64:
    """The (2, rows) halves of the keys that `read` finds in an index, by flat row."""
    keys = np.empty((2, int(starts[-1])), np.uint64)
    _filled(shards, starts, keys.T, columns, read)
    return keys


def _filled(
    shards: Sequence[SignedShard], starts: Rows, out: npt.NDArray[Any], columns: list[str], read: Callable[[pa.Table], Any]
) -> npt.NDArray[Any]:
    """`out`, filled with what `read` makes of those columns of each index. One thing at a time: it is memory that grows with the corpus."""
    for shard, (start, stop) in zip(shards, pairwise(starts), strict=True):
        out[start:stop] = read(shard.table(columns))
    return out


def _only(table: pa.Table) -> npt.NDArray[np.int64]:
    """Its one column."""
    values: npt.NDArray[np.int64] = table.column(0).to_numpy()
    return values


def _submitted(table: pa.Table) -> Rows:
    """Unknown ones are last."""
    times: Rows = table.column("submitted_at").cast(pa.int64()).fill_null(_NEVER).to_numpy()
    return times


def _content(table: pa.Table) -> Words64:
    """The hash of the words, or the document's id where there is no shingle."""
    shingled = table.column("shingles").to_numpy()[:, None] > 0
    return np.where(shingled, _halves(table, "words"), _halves(table, "document_id"))


def _ties(shards: Sequence[SignedShard], starts: Rows, rows: Rows) -> tuple[npt.NDArray[Any], ...]:
    """What decides between flat rows of equal submission, the last key first."""
    table = _taken(shards, starts, rows, ["document_id", "address", "karma"])
    address, ids = _halves(table, "address"), _halves(table, "document_id").byteswap()
    return (address[:, 1], address[:, 0], ids[:, 1], ids[:, 0], -table.column("karma").to_numpy())


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
    """For each number the least with the same key; `keys` (2, rows) are those of flat rows."""
    rows = np.flatnonzero(may_repeat(keys[0]))
    rows = rows[np.lexsort((numbers[rows], keys[1, rows], keys[0, rows]))]
    begins = np.ones(len(rows), bool)
    begins[1:] = (keys[:, rows[1:]] != keys[:, rows[:-1]]).any(axis=0)
    least = np.arange(len(numbers), dtype=np.int32)
    least[numbers[rows]] = numbers[rows[begins]][np.cumsum(begins) - 1]
    return least


def _taken(shards: Sequence[SignedShard], starts: Rows, flat: npt.NDArray[np.integer], columns: list[str]) -> pa.Table:
    """Columns of the shards' indexes, a row for each flat row."""
    order = np.argsort(flat, kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return pa.concat_tables(_picked(shards, starts, flat[order], columns)).take(back)


def _picked(shards: Sequence[SignedShard], starts: Rows, flat: npt.NDArray[np.integer], columns: list[str]) -> Iterator[pa.Table]:
    """The same for flat rows that ascend, a table a shard."""
    yield ROWS.empty_table().select(columns)
    bounds = np.searchsorted(flat, starts)
    for shard, start, (low, high) in zip(shards, starts[:-1], pairwise(bounds), strict=True):
        if low < high:
            yield shard.table(columns).take(flat[low:high] - start)


def _halves(table: pa.Table, column: str) -> Words64:
    """A column of 16-byte keys as (rows, 2) uint64."""
    keys = table.column(column).combine_chunks()
    if not len(keys):
        return np.empty((0, 2), np.uint64)
    return np.frombuffer(keys.buffers()[1], "<u8").reshape(-1, 2)[keys.offset : keys.offset + len(keys)]

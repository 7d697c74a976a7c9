"""Lookups: the SURT keys of links and of redirects, sorted, in buckets that one process holds.

Keys are text, so they go through files, never through a shuffle: each part sorts its own, and each bucket reads its slice of them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.archives.choose import Window, microseconds
from pipeline.archives.surt import surt_key
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Link
from pipeline.storage import files

LOOKUPS = "lookups"
LOOKUPS_PER_BUCKET = 500_000
"""Some 100 MB of keys and URLs."""
SAMPLES_PER_FILE = 64
NO_INSTANT = 1 << 61
"""In place of the instant of a link without a date: the latest capture is the nearest to it."""
LOOKUP = pa.schema(
    [
        ("key", pa.string()),
        ("url", pa.string()),
        ("link", pa.int64()),
        ("at", pa.int64()),
        ("low", pa.int64()),
        ("high", pa.int64()),
        ("tried", pa.binary()),
    ]
)
"""A URL to find captures of: SURT key, URL, number of its link, the instant near which a capture is wanted, the first and last
time admitted (microseconds), and the captures that led to it (8 bytes of the WARC file's hash and 8 of the offset for each)."""

Int64 = npt.NDArray[np.int64]


def lookup_row(url: str, number: int, link: Link, window: Window, tried: bytes = b"") -> dict[str, Any] | None:
    """The lookup of a URL for a link; None where the URL has no SURT key."""
    try:
        key = surt_key(url)
    except ValueError:
        return None
    instant = window.instant(link.submitted_at)
    at = NO_INSTANT if instant is None else microseconds(instant)
    low, high = (-NO_INSTANT, NO_INSTANT) if instant is None else window.bounds(at)
    return {"key": key, "url": url, "link": number, "at": at, "low": low, "high": high, "tried": tried}


def lookup_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Lookups as a table, sorted by key, then link."""
    return pa.Table.from_pylist(list(rows), schema=LOOKUP).sort_by([("key", "ascending"), ("link", "ascending")])


class Lookups:
    """Lookups sorted by key, as arrays."""

    def __init__(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        self._table = table
        self.keys, self.urls, self.tried = (_chunk(table, name) for name in ("key", "url", "tried"))
        self.link, self.at, self.low, self.high = (np.asarray(_chunk(table, name)) for name in ("link", "at", "low", "high"))

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, kept: npt.NDArray[np.bool_]) -> "Lookups":
        """Those of the lookups for which `kept` is true."""
        return Lookups(self._table.filter(pa.array(kept)))

    @cached_property
    def distinct(self) -> tuple[pa.Array, Int64]:
        """The distinct keys, and where the lookups of each begin; the last entry is the number of lookups."""
        if not len(self):
            return self.keys, np.zeros(1, np.int64)
        runs = pc.run_end_encode(self.keys)
        ends = np.asarray(runs.run_ends).astype(np.int64)
        return runs.values, np.r_[0, ends]

    def between(self, first: str, last: str) -> tuple[int, int]:
        """Positions, among the distinct keys, of those from `first` to `last`; those that begin with `last` are included.

        Some writers cut the statistics of a column to a number of characters.
        """
        keys, _ = self.distinct
        return bisect_left(_Texts(keys), first), bisect_left(_Texts(keys), last + "\U0010ffff")

    def any_in(self, start: int, stop: int, earliest: int, latest: int) -> bool:
        """Whether any lookup of the distinct keys from `start` to `stop` admits a time from `earliest` to `latest`."""
        _, bounds = self.distinct
        low, high = bounds[start], bounds[stop]
        return bool(np.any((self.low[low:high] <= latest) & (self.high[low:high] >= earliest)))

    def pairs(self, found: Int64) -> tuple[Int64, Int64]:
        """(position in `found`, lookup) for every lookup of the distinct keys in `found`."""
        _, bounds = self.distinct
        sizes = bounds[found + 1] - bounds[found]
        rows = np.repeat(np.arange(len(found)), sizes)
        ends = np.cumsum(sizes)
        return rows, np.arange(len(rows)) - np.repeat(ends - sizes, sizes) + np.repeat(bounds[found], sizes)


def _chunk(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


class _Texts(Sequence[str]):
    """An Arrow array of text, for `bisect`."""

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, position: Any) -> Any:
        return self._array[position].as_py()


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A range of keys: the part of it with this number holds the lookups of keys from `first` on, below `last` (None: no bound)."""

    listing: str
    first: str | None
    last: str | None

    def tables(self) -> Iterator[pa.Table]:
        """The bucket's slice of each file of lookups."""
        for path in shuffle.read_paths(self.listing):
            table = files.read_table(path)
            keys = _Texts(table.column("key"))
            start = 0 if self.first is None else bisect_left(keys, self.first)
            stop = len(keys) if self.last is None else bisect_left(keys, self.last)
            if start < stop:
                yield table.slice(start, stop - start)


@dataclass(frozen=True, slots=True)
class SortLookups:
    """Merges one bucket's lookups of all files into one sorted file."""

    def __call__(self, part: Part[KeyRange], writer: PartWriter) -> None:
        """Spill the bucket's table."""
        table = pa.concat_tables([LOOKUP.empty_table(), *part.work.tables()])
        writer.spill_table(LOOKUPS, table.sort_by([("key", "ascending"), ("link", "ascending")]))


def buckets(paths: Sequence[str], listing: str, rows: int) -> list[KeyRange]:
    """Ranges of keys that hold about LOOKUPS_PER_BUCKET lookups each. `listing` becomes the list of the sorted files `paths`."""
    shuffle.write_paths(listing, paths)
    count = 1 + rows // LOOKUPS_PER_BUCKET
    bounds = _bounds(paths, count) if count > 1 else []
    edges = [None, *bounds, None]
    return [KeyRange(listing, first, last) for first, last in pairwise(edges)]


def _bounds(paths: Sequence[str], count: int) -> list[str]:
    """Keys that split the lookups of all files into `count` ranges of about the same size."""
    samples: list[str] = []
    for path in paths:
        keys = files.read_table(path, ["key"]).column("key")
        step = max(1, len(keys) // SAMPLES_PER_FILE)
        samples += [keys[i].as_py() for i in range(step // 2, len(keys), step)]
    samples.sort()
    return sorted({samples[len(samples) * i // count] for i in range(1, count)}) if samples else []

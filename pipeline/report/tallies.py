"""Tallies of Arrow columns, batch by batch: memory grows with the distinct values or bins, not with the rows."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.numbers import Histogram

TABLES_PER_MERGE = 32
DASH = "\N{EN DASH}"
OTHERS = "others"
NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Bins:
    """Half-open bins of integers. `edges` are their lower ends; one more bin holds the values below the first edge."""

    edges: tuple[int, ...]

    def labels(self) -> tuple[str, ...]:
        """One label per bin: `<3`, `3–4`, …, `≥5,000`."""
        inner = [_label(low, high - 1) for low, high in zip(self.edges, self.edges[1:], strict=False)]
        return (f"<{self.edges[0]:,}", *inner, f"≥{self.edges[-1]:,}")

    def count(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of values in each bin."""
        return np.bincount(np.searchsorted(self.edges, values, side="right"), minlength=len(self.edges) + 1)


def _label(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}{DASH}{high:,}"


KARMA = Bins((3, 5, 10, 25, 50, 100, 250, 1000, 5000))
PERCENT = Bins((10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95, 98))
CHARACTERS = Bins((250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000))
DISTANCE = Bins((-1825, -365, -180, -90, -30, -7, -1, 0, 1, 7, 30, 90, 180, 365, 1825))
"""Days from a submission to the capture of its page."""
TOKENS = Bins((64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384))


@dataclass
class BinTally:
    """Counts of integers by bin."""

    bins: Bins
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.bins.edges) + 1, np.int64)

    def add(self, values: pa.Array | npt.NDArray[np.int64]) -> None:
        """Count a batch of integers; nulls are left out."""
        array = values if isinstance(values, np.ndarray) else values.drop_null().to_numpy(zero_copy_only=False)
        self.counts += self.bins.count(array.astype(np.int64, copy=False))

    def histogram(self, name: str, title: str, axis: str, of: str, note: str = "") -> Histogram:
        """The counts as a histogram, without empty bins at either end."""
        filled = np.flatnonzero(self.counts)
        low, high = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        counts = tuple(int(c) for c in self.counts[low:high])
        return Histogram(name, title, axis, of, self.bins.labels()[low:high], counts, note, binned=True)


class ValueTally:
    """Counts of distinct strings. Tables of counts are merged regularly, so memory grows with the distinct values."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, values: pa.Array) -> None:
        """Count a batch; a null counts as NOT_KNOWN."""
        counts = pc.value_counts(pc.fill_null(values.cast(pa.string()), NOT_KNOWN))
        fields = [counts.field("values"), counts.field("counts")]
        self.add_counts(pa.table(fields, names=["value", "items"]))

    def add_counts(self, counts: pa.Table) -> None:
        """Add a table of counts with the columns value and items."""
        self._tables.append(counts)
        if len(self._tables) >= TABLES_PER_MERGE:
            self._tables = [self.table()]

    def table(self) -> pa.Table:
        """A table with the columns value and items, most common first, ties by value."""
        empty = pa.schema([("value", pa.string()), ("items", pa.int64())]).empty_table()
        merged = pa.concat_tables([empty, *self._tables]).group_by("value").aggregate([("items", "sum")])
        return merged.rename_columns(["value", "items"]).sort_by([("items", "descending"), ("value", "ascending")])

    def pairs(self) -> list[tuple[str, int]]:
        """(value, items), most common first, ties by value."""
        table = self.table()
        return list(zip(table["value"].to_pylist(), table["items"].to_pylist(), strict=True))

    def histogram(self, name: str, title: str, axis: str, of: str, most: int = 10) -> Histogram:
        """The `most` most common values, and one bar for the others."""
        pairs = self.pairs()
        shown, rest = (pairs, []) if len(pairs) <= most + 1 else (pairs[:most], pairs[most:])
        if rest:
            shown = [*shown, (f"{len(rest):,} {OTHERS}", sum(items for _, items in rest))]
        labels = tuple(value for value, _ in shown)
        return Histogram(name, title, axis, of, labels, tuple(items for _, items in shown))

    def in_order(self, name: str, title: str, axis: str, of: str) -> Histogram:
        """All values in ascending order (years, say), NOT_KNOWN last."""
        pairs = sorted(self.pairs(), key=lambda pair: (pair[0] == NOT_KNOWN, pair[0]))
        return Histogram(name, title, axis, of, tuple(v for v, _ in pairs), tuple(n for _, n in pairs), binned=True)

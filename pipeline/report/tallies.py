"""Counting in Arrow: a batch of values at a time, memory by the number of distinct values or bins."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.numbers import Histogram

MERGE_EVERY = 32
DASH = "\N{EN DASH}"
OTHERS = "others"
NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Bins:
    """Half-open bins of whole numbers: `edges` are their lower ends; what lies below the first is a bin of its own."""

    edges: tuple[int, ...]

    def labels(self) -> tuple[str, ...]:
        """`<3`, `3–4`, …, `≥5,000`."""
        between = [_label(low, high - 1) for low, high in zip(self.edges, self.edges[1:], strict=False)]
        return (f"<{self.edges[0]:,}", *between, f"≥{self.edges[-1]:,}")

    def count(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Values in each bin."""
        return np.bincount(np.searchsorted(self.edges, values, side="right"), minlength=len(self.edges) + 1)


def _label(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}{DASH}{high:,}"


KARMA = Bins((3, 5, 10, 25, 50, 100, 250, 1000, 5000))
CHARACTERS = Bins((250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000))
TOKENS = Bins((64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384))


@dataclass
class BinTally:
    """A growing binned histogram."""

    bins: Bins
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.bins.edges) + 1, np.int64)

    def add(self, values: pa.Array | npt.NDArray[np.int64]) -> None:
        """Count a batch of whole numbers."""
        plain = values if isinstance(values, np.ndarray) else values.drop_null().to_numpy(zero_copy_only=False)
        self.counts += self.bins.count(plain.astype(np.int64, copy=False))

    def histogram(self, name: str, title: str, axis: str, of: str, note: str = "") -> Histogram:
        """What was counted, empty bins at the ends left out."""
        filled = np.flatnonzero(self.counts)
        low, high = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 0)
        counts = tuple(int(c) for c in self.counts[low:high])
        return Histogram(name, title, axis, of, self.bins.labels()[low:high], counts, note, binned=True)


class ValueTally:
    """Counts of distinct strings, merged now and then so that a long input costs memory by its distinct values."""

    def __init__(self) -> None:
        self._counted: list[pa.Table] = []

    def add(self, values: pa.Array) -> None:
        """Count a batch; nulls count as `not known`."""
        counts = pc.value_counts(pc.fill_null(values.cast(pa.string()), NOT_KNOWN))
        fields = [counts.field("values"), counts.field("counts")]
        self.add_counts(pa.table(fields, names=["value", "items"]))

    def add_counts(self, counts: pa.Table) -> None:
        """Count what was counted elsewhere: columns value, items."""
        self._counted.append(counts)
        if len(self._counted) >= MERGE_EVERY:
            self._counted = [self.table()]

    def table(self) -> pa.Table:
        """value, items; the commonest first, ties by value."""
        empty = pa.schema([("value", pa.string()), ("items", pa.int64())]).empty_table()
        together = pa.concat_tables([empty, *self._counted]).group_by("value").aggregate([("items", "sum")])
        return together.rename_columns(["value", "items"]).sort_by([("items", "descending"), ("value", "ascending")])

    def pairs(self) -> list[tuple[str, int]]:
        """The table as pairs."""
        table = self.table()
        return list(zip(table["value"].to_pylist(), table["items"].to_pylist(), strict=True))

    def histogram(self, name: str, title: str, axis: str, of: str, most: int = 10) -> Histogram:
        """The `most` commonest values and one bar for the others."""
        pairs = self.pairs()
        shown, rest = (pairs, []) if len(pairs) <= most + 1 else (pairs[:most], pairs[most:])
        if rest:
            shown = [*shown, (f"{len(rest):,} {OTHERS}", sum(items for _, items in rest))]
        labels = tuple(value for value, _ in shown)
        return Histogram(name, title, axis, of, labels, tuple(items for _, items in shown))

    def in_order(self, name: str, title: str, axis: str, of: str) -> Histogram:
        """All values by their own order (years), `not known` last."""
        pairs = sorted(self.pairs(), key=lambda pair: (pair[0] == NOT_KNOWN, pair[0]))
        return Histogram(name, title, axis, of, tuple(v for v, _ in pairs), tuple(n for _, n in pairs), binned=True)

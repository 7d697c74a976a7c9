"""What a document shard is compared by, an index: rows, signatures, hashed shingles. Later months read only this.

`index/rows-KEY.parquet` (ROWS), `index/signatures-KEY.npy` (documents, permutations) uint32, `index/shingles-KEY.bin`: six bytes a shingle
(`minhash.pack`), document after document, repeats included.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.records import INSTANT, required
from pipeline.storage import files
from pipeline.storage.document_shards import kept_rows
from pipeline.storage.files import InputError

ROWS = pa.schema(
    [
        required("document_id", pa.binary(16)),
        required("url", pa.string()),
        required("address", pa.binary(16)),
        required("words", pa.binary(16)),
        required("karma", pa.int64()),
        pa.field("submitted_at", INSTANT),
        required("units", pa.int64()),
        required("shingles", pa.int64()),
        required("text_bytes", pa.int64()),
    ]
)
"""`address` hashes the dedup key, `words` the folded words; `units` counts words (or characters), `shingles` what the .bin file holds."""

ROWS_AT_HAND = "rows-at-hand"
"""The kind of a run's own spills of ROWS: three phases look into all of them, which takes a third of a second a million in Parquet."""


@dataclass(frozen=True, slots=True)
class SignedShard:
    """Where a shard's index stands; `rows` in Parquet, or as this run spilled them.

    `keep` selects rows of it, as an earlier month's keep list does; `documents` counts the selected.
    """

    documents: int
    rows: str
    shingles: str
    signatures: str = ""
    keep: str | None = None

    def table(self, columns: list[str]) -> pa.Table:
        """The selected rows."""
        table = files.read_table(self.rows, columns)
        return table if self.keep is None else table.take(self.selected())

    def selected(self) -> npt.NDArray[np.int64]:
        """The numbers of the selected rows in the shard."""
        if self.keep is None:
            return np.arange(self.documents)
        return kept_rows(self.keep)

    def extents(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each selected row where its shingles begin in the .bin file, and how many they are."""
        counts = files.read_table(self.rows, ["shingles"]).column("shingles").to_numpy()
        starts = np.cumsum(counts) - counts
        chosen = self.selected()
        return starts[chosen], counts[chosen]


def check_alike(one: SignedShard, other: SignedShard) -> None:
    """Raise InputError unless two indexes can be compared."""
    ours, theirs = _read_metadata(one.rows), _read_metadata(other.rows)
    differing = [f"{name} {theirs.get(name)}, here {ours[name]}" for name in ours if ours[name] != theirs.get(name)]
    if differing:
        raise InputError(
            f"{other.rows}: an index made with {'; '.join(differing)}: give the same settings, or run dedup there again"
        )


def _read_metadata(path: str) -> dict[str, str]:
    metadata = files.read_schema(path).metadata
    return {name: metadata.get(name.encode(), b"").decode() for name in ("shingle", "permutations", "seed", "unicode")}

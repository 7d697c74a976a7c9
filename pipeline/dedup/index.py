"""The index of a document shard: rows, signatures, hashed shingles. Documents are compared by it alone, also by later months.

`index/rows-KEY.parquet` (INDEX_ROWS), `index/signatures-KEY.npy` (uint32 of shape (documents, permutations)),
`index/shingles-KEY.bin`: six bytes per shingle (`shingles.pack`), document after document, repeats included.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.records import INSTANT, required
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import kept_rows
from pipeline.storage.manifest import load_stage
from tokenizer.errors import InputError

INDEX_ROWS = pa.schema(
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
"""`address` hashes the dedup key, `words` the folded words. `units` counts words (or characters), `shingles` those in the .bin
file."""

KINDS = ("rows", "shingles", "signatures", "keep")
SHINGLE_BYTES = 6

SPILLED_ROWS = "rows-at-hand"
"""Kind of a run's own spills of INDEX_ROWS: three phases read all of them, which takes a third of a second per million rows in
Parquet."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Paths of a shard's index; `rows` is a Parquet file or this run's spill.

    `keep` selects rows, as an earlier month's keep list does; `documents` counts the selected ones.
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
        """The row numbers of the selected rows in the shard."""
        if self.keep is None:
            return np.arange(self.documents)
        return kept_rows(self.keep)

    def extents(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Start and count of the shingles of each selected row in the .bin file."""
        counts = files.read_table(self.rows, ["shingles"]).column("shingles").to_numpy()
        starts = np.cumsum(counts) - counts
        chosen = self.selected()
        return starts[chosen], counts[chosen]


def check_compatible(one: ShardIndex, other: ShardIndex) -> None:
    """Raise InputError unless both indexes were made with the same settings."""
    ours, theirs = _read_metadata(one.rows), _read_metadata(other.rows)
    differing = [f"{name} {theirs.get(name)}, here {ours[name]}" for name in ours if ours[name] != theirs.get(name)]
    if differing:
        raise InputError(
            f"{other.rows}: an index made with {'; '.join(differing)}: give the same settings, or run dedup there again"
        )


def _read_metadata(path: str) -> dict[str, str]:
    metadata = files.read_schema(path).metadata
    return {name: metadata.get(name.encode(), b"").decode() for name in ("shingle", "permutations", "seed", "unicode")}


def index_shards(folder: str) -> list[ShardIndex]:
    """The index of an earlier dedup folder, of its kept documents alone. Raises InputError where the folder has no index."""
    manifest = load_stage(folder, "dedup")
    kinds = [manifest.of_kind(kind) for kind in KINDS]
    if not kinds[0] and kinds[3]:
        raise InputError(f"{folder}: dedup wrote no index there (--no_index); run it there again with --index")
    if len({len(entries) for entries in kinds}) > 1:
        numbers = ", ".join(f"{len(entries)} of {name}" for name, entries in zip(KINDS, kinds, strict=True))
        raise InputError(f"{folder}: its manifest names different numbers of files ({numbers}); run dedup there again")
    shards = [
        ShardIndex(entries[-1].rows, *(files.join(folder, entry.name) for entry in entries))
        for entries in zip(*kinds, strict=True)
    ]
    for shard in shards:
        _check(shard)
    return shards


def _check(shard: ShardIndex) -> None:
    """Raise InputError unless the files of an index agree: rows, shingles, signatures and the rows that are kept."""
    schema = files.read_schema(shard.rows)
    if schema.remove_metadata() != INDEX_ROWS.remove_metadata():
        raise InputError(f"{shard.rows}: its columns are not those of an index; run dedup there again")
    counts = files.read_table(shard.rows, ["shingles"]).column("shingles").to_numpy()
    if (counts < 0).any() or SHINGLE_BYTES * int(counts.sum()) != files.size(shard.shingles):
        raise InputError(f"{shard.shingles}: does not hold the shingles that {shard.rows} counts; run dedup there again")
    signatures, permutations = arrays.load(shard.signatures), _read_metadata(shard.rows)["permutations"]
    if signatures.dtype != np.uint32 or str(signatures.shape[1:]) != f"({permutations},)" or len(signatures) != len(counts):
        found, needed = f"{signatures.dtype} and shape {signatures.shape}", f"uint32 and shape ({len(counts)}, {permutations})"
        raise InputError(f"{shard.signatures}: an array of {found}, not of {needed}; run dedup there again")
    kept = shard.selected()
    if len(kept) != shard.documents or (len(kept) and kept[-1] >= len(counts)):
        raise InputError(f"{shard.keep}: does not keep {shard.documents} of {len(counts)} rows; run dedup there again")

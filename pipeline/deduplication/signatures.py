"""What a document shard is compared by, from one reading of its text: rows, signatures, hashed shingles. Later months read only this.

`index/rows-KEY.parquet` (ROWS), `index/signatures-KEY.npy` (documents, permutations) uint32, `index/shingles-KEY.bin`: six bytes a shingle
(`minhash.pack`), document after document, repeats included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import arrays, files, minhash
from pipeline.deduplication import words
from pipeline.files import InputError
from pipeline.parts import Part, PartWriter
from pipeline.records import INSTANT, required
from pipeline.views import DocumentShard

BATCH_DOCUMENTS = 64
COLUMNS = ["document_id", "url", "dedup_key", "karma", "submitted_at", "text"]
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


@dataclass(frozen=True, slots=True)
class SignedShard:
    """Where a shard's index stands. `keep` selects rows of it (None: all), as an earlier month's keep list does."""

    rows: str
    signatures: str
    shingles: str
    keep: str | None = None

    def table(self, columns: list[str]) -> pa.Table:
        """The selected rows."""
        table = files.read_table(self.rows, columns)
        return table if self.keep is None else table.take(self.selected())

    def selected(self) -> npt.NDArray[np.int64]:
        """The numbers of the selected rows in the shard."""
        if self.keep is None:
            return np.arange(files.read_table(self.rows, ["units"]).num_rows)
        rows: npt.NDArray[np.int64] = files.read_table(self.keep, ["row"]).column("row").to_numpy()
        return rows

    def extents(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each selected row where its shingles begin in the .bin file, and how many they are."""
        counts = files.read_table(self.rows, ["shingles"]).column("shingles").to_numpy()
        starts = np.cumsum(counts) - counts
        chosen = self.selected()
        return starts[chosen], counts[chosen]


@dataclass(frozen=True)
class Sign:
    """The work of one document shard: its index, from one reading of its text."""

    permutations: int
    shingle: int
    characters: bool
    seed: int
    published: bool

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read, hash, write."""
        shard: DocumentShard = part.work
        tables = [ROWS.empty_table()]
        signed = np.empty((shard.rows, self.permutations), np.uint32)

        def write(file: IO[bytes]) -> None:
            row = 0
            for table, hashed in self._hashed(shard, writer):
                file.write(minhash.pack(hashed.hashes).data)
                signed[row : row + table.num_rows] = minhash.minima(hashed, self.permutations, self.seed)
                tables.append(table)
                row += table.num_rows

        def name(kind: str, suffix: str) -> str:
            plain = f"{kind}-{part.key}{suffix}"
            return f"index/{plain}" if self.published else writer.spill_name(plain)

        writer.publish("shingles", shard.rows, write, name("shingles", ".bin"))
        rows = pa.concat_tables(tables).replace_schema_metadata(self._metadata())
        writer.publish_table("rows", rows, name("rows", ".parquet"))
        writer.publish("signatures", shard.rows, lambda f: arrays.write(f, signed), name("signatures", ".npy"))

    def _hashed(self, shard: DocumentShard, writer: PartWriter) -> Iterator[tuple[pa.Table, minhash.Shingles]]:
        for batch in shard.batches(COLUMNS, BATCH_DOCUMENTS):
            hashed = minhash.hash_shingles(batch.column("text"), self.shingle, characters=self.characters)
            yield _rows(batch, hashed), hashed
            pa.default_memory_pool().release_unused()  # or each batch may add its own size to what the pool holds
            writer.advance(batch.num_rows)

    def _metadata(self) -> dict[str, str]:
        spec = f"{'chars' if self.characters else 'words'}:{self.shingle}"
        return {
            "shingle": spec,
            "permutations": str(self.permutations),
            "seed": str(self.seed),
            "unicode": words.UNICODE_VERSION,
        }


def check_alike(one: SignedShard, other: SignedShard) -> None:
    """Raise InputError unless two indexes can be compared."""
    ours, theirs = _read_metadata(one.rows), _read_metadata(other.rows)
    differing = [f"{name} {theirs.get(name)}, here {ours[name]}" for name in ours if ours[name] != theirs.get(name)]
    if differing:
        raise InputError(
            f"{other.rows}: an index made with {'; '.join(differing)}: give the same settings, or run dedup there again"
        )


def _read_metadata(path: str) -> dict[str, str]:
    with files.open_input(path) as file:
        metadata = pq.read_schema(file).metadata
    return {name: metadata.get(name.encode(), b"").decode() for name in ("shingle", "permutations", "seed", "unicode")}


def _rows(batch: pa.RecordBatch, hashed: minhash.Shingles) -> pa.Table:
    columns: dict[str, Any] = {
        "document_id": batch.column("document_id"),
        "url": batch.column("url"),
        "address": _binary16(minhash.hash_strings(batch.column("dedup_key"))),
        "words": _binary16(hashed.texts),
        "karma": batch.column("karma"),
        "submitted_at": batch.column("submitted_at"),
        "units": hashed.units,
        "shingles": hashed.counts(),
        "text_bytes": pc.binary_length(batch.column("text")),
    }
    return pa.table(columns, schema=ROWS)


def _binary16(keys: minhash.Words64) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(np.ascontiguousarray(keys))])

"""From a document shard to its index and its bands, in one reading of its text; from an index to its bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import arrays, minhash
from pipeline.deduplication import words
from pipeline.deduplication.bands import KIND, Bands, band_entries
from pipeline.deduplication.signatures import ROWS, SignedShard
from pipeline.parts import Part, PartWriter
from pipeline.shuffle import Destinations, Entries, write_run
from pipeline.views import DocumentShard

BATCH_DOCUMENTS = 128
COLUMNS = ["document_id", "url", "dedup_key", "karma", "submitted_at", "text"]


def load() -> None:
    """Fetch the compiled code: the first call of a process takes a second."""
    hashed = minhash.hash_shingles(pa.array(["one two three"]), 2)
    minhash.minima(hashed, 1, minhash.SEED)
    minhash.pack(hashed.hashes)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A document shard, and the flat row of its first document: earlier months' documents come first, then shard after shard."""

    documents: DocumentShard
    first: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A shard's index, and the flat row of the first selected document."""

    index: SignedShard
    first: int

    def entries(self, spec: Bands) -> tuple[Entries, Destinations]:
        """The entries of its bands, and the bucket of each."""
        return band_entries(arrays.load(self.index.signatures)[self.index.selected()], self.first, spec)


@dataclass(frozen=True)
class SpreadBands:
    """The work of one index (Signed): the run of its bands."""

    spec: Bands

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Hash, spill."""
        found, bucket = part.work.entries(self.spec)
        write_run(writer, KIND, found, bucket, self.spec.buckets)


@dataclass(frozen=True)
class Sign:
    """The work of one document shard (Unsigned): its index and the run of its bands, from one reading of its text.

    `spread` is None where another step spreads the bands; an index that is not `published` needs no signatures then.
    """

    permutations: int
    shingle: int
    characters: bool
    seed: int
    published: bool
    spread: Bands | None

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read, hash, write."""
        shard = part.work.documents
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
        if self.published or not self.spread:
            writer.publish("signatures", shard.rows, lambda f: arrays.write(f, signed), name("signatures", ".npy"))
        if self.spread:
            found, bucket = band_entries(signed, part.work.first, self.spread)
            write_run(writer, KIND, found, bucket, self.spread.buckets)

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

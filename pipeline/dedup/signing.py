"""From a document shard to its index and its bands, in one reading of its text; from an index to its bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import minhash, words
from pipeline.dedup.bands import KIND, Bands, band_entries
from pipeline.dedup.index import ROWS, ROWS_AT_HAND, SignedShard
from pipeline.engine.allocator import keep_freed_memory
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import Destinations, Entries, write_run
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from pipeline.storage.document_shards import DocumentShard

BATCH_DOCUMENTS = 128
COLUMNS = ["document_id", "url", "dedup_key", "karma", "submitted_at"]
OF_TEXTS = np.dtype([("words", "<u8", (2,)), ("units", "<i8"), ("shingles", "<i8"), ("text_bytes", "<i8")])
"""What the texts tell for the index, a row a document: columns of ROWS."""


def load() -> None:
    """Make a worker process ready: fetch the compiled code, since the first call of a process takes a second."""
    keep_freed_memory()
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

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
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

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read, hash, write."""
        shard = part.work.documents
        of_texts = np.empty(shard.rows, OF_TEXTS)
        signed = np.empty((shard.rows, self.permutations), np.uint32)

        def write(file: IO[bytes]) -> None:
            row = 0
            for texts in _texts(shard, writer):
                hashed = minhash.hash_shingles(texts, self.shingle, characters=self.characters)
                file.write(minhash.pack(hashed.hashes).data)
                here = slice(row, row := row + len(texts))
                signed[here] = minhash.minima(hashed, self.permutations, self.seed)
                _tell(texts, hashed, of_texts[here])

        def name(kind: str, suffix: str) -> str:
            plain = f"{kind}-{part.key}{suffix}"
            return f"index/{plain}" if self.published else writer.spill_name(plain)

        writer.publish("shingles", shard.rows, write, name("shingles", ".bin"))
        rows = _rows(shard.table(COLUMNS), of_texts).replace_schema_metadata(self._metadata())
        writer.spill_table(ROWS_AT_HAND, rows)
        if self.published:
            writer.publish_table("rows", rows, name("rows", ".parquet"))
        if self.published or not self.spread:
            writer.publish("signatures", shard.rows, lambda f: arrays.write(f, signed), name("signatures", ".npy"))
        if self.spread:
            found, bucket = band_entries(signed, part.work.first, self.spread)
            write_run(writer, KIND, found, bucket, self.spread.buckets)

    def _metadata(self) -> dict[str, str]:
        spec = f"{'chars' if self.characters else 'words'}:{self.shingle}"
        return {
            "shingle": spec,
            "permutations": str(self.permutations),
            "seed": str(self.seed),
            "unicode": words.UNICODE_VERSION,
        }


def _texts(shard: DocumentShard, writer: PartWriter) -> Iterator[pa.Array]:
    """The texts of a shard, some at a time."""
    for batch in shard.batches(["text"], BATCH_DOCUMENTS):
        yield batch.column("text")
        pa.default_memory_pool().release_unused()  # or each batch may add its own size to what the pool holds
        writer.advance(batch.num_rows)


def _tell(texts: pa.Array, hashed: minhash.Shingles, out: npt.NDArray[np.void]) -> None:
    out["words"] = hashed.texts
    out["units"] = hashed.units
    out["shingles"] = hashed.counts()
    _, bounds = minhash.buffers(texts)
    out["text_bytes"] = bounds[1:] - bounds[:-1]


def _rows(documents: pa.Table, of_texts: npt.NDArray[np.void]) -> pa.Table:
    columns: dict[str, Any] = {name: documents.column(name) for name in ("document_id", "url", "karma", "submitted_at")}
    keys = documents.column("dedup_key").combine_chunks()
    columns |= {"address": _binary16(minhash.hash_strings(keys)), "words": _binary16(of_texts["words"])}
    columns |= {name: of_texts[name] for name in ("units", "shingles", "text_bytes")}
    return pa.table(columns, schema=ROWS)


def _binary16(keys: minhash.Words64) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(np.ascontiguousarray(keys))])

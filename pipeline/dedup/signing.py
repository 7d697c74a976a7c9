"""From a document shard to its index and its bands, in one reading of its text; from an index to its bands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup import bands, minhash, words
from pipeline.dedup.bands import BandLayout, band_entries
from pipeline.dedup.index import INDEX_ROWS, SPILLED_ROWS, ShardIndex
from pipeline.dedup.shingles import Shingles, hash_shingles, pack
from pipeline.dedup.string_hashes import UInt64Array, buffers, hash_strings
from pipeline.engine.allocator import keep_freed_memory
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import write_run
from pipeline.engine.writer import PartWriter
from pipeline.storage import arrays
from pipeline.storage.document_shards import DocumentShard

BATCH_DOCUMENTS = 128
COLUMNS = ["document_id", "url", "dedup_key", "karma", "submitted_at"]
TEXT_COLUMNS = np.dtype([("words", "<u8", (2,)), ("units", "<i8"), ("shingles", "<i8"), ("text_bytes", "<i8")])
"""The columns of INDEX_ROWS that are computed from the texts."""


def load() -> None:
    """Prepare a worker process: load the compiled code, since a process's first call takes a second."""
    keep_freed_memory()
    hashed = hash_shingles(pa.array(["one two three"]), 2)
    minhash.minima(hashed, 1, minhash.SEED)
    pack(hashed.hashes)


@dataclass(frozen=True, slots=True)
class ShardToSign:
    """A document shard and the flat row of its first document; flat rows count earlier months, then shard by shard."""

    documents: DocumentShard
    first: int


@dataclass(frozen=True, slots=True)
class IndexToSpread:
    """A shard's index and the flat row of its first selected document."""

    index: ShardIndex
    first: int


@dataclass(frozen=True)
class SpreadBands:
    """Work on one index (IndexToSpread): a run of its bands."""

    layout: BandLayout

    def __call__(self, part: Part[IndexToSpread], writer: PartWriter) -> None:
        """Hash, spill."""
        index = part.work.index
        entries, bucket = band_entries(arrays.load(index.signatures)[index.selected()], part.work.first, self.layout)
        write_run(writer, bands.KIND, entries, bucket, self.layout.buckets)


@dataclass(frozen=True)
class Sign:
    """Work on one document shard (ShardToSign): its index and a run of its bands, from one reading of its text.

    An index that is not `published` has no signatures, since only later months read them.
    """

    layout: BandLayout
    shingle: int
    characters: bool
    seed: int
    published: bool

    def __call__(self, part: Part[ShardToSign], writer: PartWriter) -> None:
        """Read, hash, write."""
        shard = part.work.documents
        text_columns = np.empty(shard.rows, TEXT_COLUMNS)
        signatures = np.empty((shard.rows, self.layout.permutations), np.uint32)

        def write(file: IO[bytes]) -> None:
            row = 0
            for texts in _texts(shard, writer):
                hashed = hash_shingles(texts, self.shingle, characters=self.characters)
                file.write(pack(hashed.hashes).data)
                here = slice(row, row := row + len(texts))
                signatures[here] = minhash.minima(hashed, self.layout.permutations, self.seed)
                _describe(texts, hashed, text_columns[here])

        def name(kind: str, suffix: str) -> str:
            plain = f"{kind}-{part.key}{suffix}"
            return f"index/{plain}" if self.published else writer.spill_name(plain)

        writer.publish("shingles", shard.rows, write, name("shingles", ".bin"))
        rows = _rows(shard.table(COLUMNS), text_columns).replace_schema_metadata(self._metadata())
        writer.spill_table(SPILLED_ROWS, rows)
        if self.published:
            writer.publish_table("rows", rows, name("rows", ".parquet"))
            writer.publish("signatures", shard.rows, lambda f: arrays.write(f, signatures), name("signatures", ".npy"))
        entries, bucket = band_entries(signatures, part.work.first, self.layout)
        write_run(writer, bands.KIND, entries, bucket, self.layout.buckets)

    def _metadata(self) -> dict[str, str]:
        return {
            "shingle": f"{'chars' if self.characters else 'words'}:{self.shingle}",
            "permutations": str(self.layout.permutations),
            "seed": str(self.seed),
            "unicode": words.UNICODE_VERSION,
        }


def _texts(shard: DocumentShard, writer: PartWriter) -> Iterator[pa.Array]:
    """The texts of a shard, batch by batch."""
    for batch in shard.batches(["text"], BATCH_DOCUMENTS):
        yield batch.column("text")
        pa.default_memory_pool().release_unused()  # otherwise each batch may add its own size to the pool
        writer.advance(batch.num_rows)


def _describe(texts: pa.Array, hashed: Shingles, out: npt.NDArray[np.void]) -> None:
    """Fill the TEXT_COLUMNS of some texts."""
    out["words"] = hashed.texts
    out["units"] = hashed.units
    out["shingles"] = hashed.counts()
    _, bounds = buffers(texts)
    out["text_bytes"] = bounds[1:] - bounds[:-1]


def _rows(documents: pa.Table, text_columns: npt.NDArray[np.void]) -> pa.Table:
    """The INDEX_ROWS of a shard."""
    columns: dict[str, Any] = {name: documents.column(name) for name in ("document_id", "url", "karma", "submitted_at")}
    keys = documents.column("dedup_key").combine_chunks()
    columns |= {"address": _binary16(hash_strings(keys)), "words": _binary16(text_columns["words"])}
    columns |= {name: text_columns[name] for name in ("units", "shingles", "text_bytes")}
    return pa.table(columns, schema=INDEX_ROWS)


def _binary16(keys: UInt64Array) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, pa.py_buffer(np.ascontiguousarray(keys))])

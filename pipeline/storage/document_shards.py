"""The document shards that later stages read: all rows of a documents folder, or those that a dedup or overlap folder keeps.

No text is copied: keep lists select rows of the documents folder.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import files
from pipeline.storage.manifest import StageManifest, input_folder, load_stage

KEEP_SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("document_id", pa.binary(16), nullable=False)])
"""A keep list: the rows of one document shard that are kept, ascending."""


@dataclass(frozen=True, slots=True)
class DocumentShard:
    """A Parquet file of documents, and the keep list that selects its rows (None: all). `rows` counts the selected rows."""

    path: str
    keep: str | None
    rows: int

    def batches(self, columns: list[str], rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """The selected rows, in file order."""
        if self.keep is None:
            yield from files.record_batches(self.path, columns, rows)
            return
        kept = self.selected()
        start = 0
        for batch in files.record_batches(self.path, columns, rows):
            low, high = np.searchsorted(kept, (start, start + batch.num_rows))
            if low < high:
                yield batch.take(pa.array(kept[low:high] - start))
            start += batch.num_rows

    def table(self, columns: list[str]) -> pa.Table:
        """The selected rows as one table, for small columns."""
        table = files.read_table(self.path, columns)
        return table if self.keep is None else table.take(self.selected())

    def selected(self) -> npt.NDArray[np.int64]:
        """Row numbers of the selected rows in the file, ascending."""
        return np.arange(self.rows) if self.keep is None else kept_rows(self.keep)


def kept_rows(keep: str) -> npt.NDArray[np.int64]:
    """The rows that a keep list keeps, ascending."""
    rows: npt.NDArray[np.int64] = files.read_table(keep, ["row"]).column("row").to_numpy()
    return rows


def document_shards(folder: str) -> list[DocumentShard]:
    """The shards of a documents, dedup or overlap folder. Raises InputError for any other."""
    manifest = load_stage(folder, "documents", "dedup", "overlap")
    if manifest.stage == "documents":
        return [DocumentShard(files.join(folder, e.name), None, e.rows) for e in manifest.of_kind("documents")]
    if manifest.stage == "overlap":
        shards = document_shards(input_folder(folder, manifest, "dedup"))
        keeps = manifest.of_kind("keep")
        return [replace(s, keep=files.join(folder, k.name), rows=k.rows) for s, k in zip(shards, keeps, strict=True)]
    if rewritten := manifest.of_kind("documents"):  # spans were cut: the dedup folder holds the texts itself
        return [DocumentShard(files.join(folder, e.name), None, e.rows) for e in rewritten]
    documents = input_folder(folder, manifest, "documents")
    entries = load_stage(documents, "documents").of_kind("documents")
    keeps = manifest.of_kind("keep")
    return [
        DocumentShard(files.join(documents, entry.name), files.join(folder, keep.name), keep.rows)
        for entry, keep in zip(entries, keeps, strict=True)
    ]


def text_bytes(manifest: StageManifest) -> int:
    """UTF-8 bytes of the text of a documents or dedup folder, from its counters."""
    return manifest.counters["text_bytes"]


def utf8_bytes(texts: pa.Array) -> int:
    """UTF-8 bytes of a string array."""
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)

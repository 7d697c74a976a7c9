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
from pipeline.storage.manifest import FileEntry, StageManifest, input_folder, load_stage
from tokenizer.errors import InputError

ID = "document_id"
KEEP_SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field(ID, pa.binary(16), nullable=False)])
"""A keep list: the rows of one document shard that are kept, ascending."""

CLUSTERS = "clusters"
"""The kind of files that name kept duplicates."""
CLUSTER_SCHEMA = pa.schema(
    [
        pa.field(ID, pa.binary(16), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("cluster", pa.binary(16), nullable=False),
    ]
)
"""A kept document that is similar to one before it, and the id of the first document of their cluster."""


@dataclass(frozen=True, slots=True)
class DocumentShard:
    """A Parquet file of documents, and the keep list that selects its rows (None: all). `rows` counts the selected rows."""

    path: str
    keep: str | None
    rows: int

    def batches(self, columns: list[str], rows: int = 4096) -> Iterator[pa.RecordBatch]:
        """The selected rows, in file order. Raises InputError where the keep list names other documents than the file holds."""
        if self.keep is None:
            yield from files.record_batches(self.path, columns, rows)
            return
        read = columns if ID in columns else [*columns, ID]
        kept, ids = kept_documents(self.keep)
        start = 0
        for batch in files.record_batches(self.path, read, rows):
            low, high = np.searchsorted(kept, (start, start + batch.num_rows))
            if low < high:
                chosen = batch.take(pa.array(kept[low:high] - start))
                self._check_ids(chosen.column(ID), ids[int(low) : int(high)])
                yield chosen.select(columns)
            start += batch.num_rows
        self._check_kept(kept, start)

    def table(self, columns: list[str]) -> pa.Table:
        """The selected rows as one table, for small columns."""
        if self.keep is None:
            return files.read_table(self.path, columns)
        table = files.read_table(self.path, columns if ID in columns else [*columns, ID])
        kept, ids = kept_documents(self.keep)
        self._check_kept(kept, table.num_rows)
        chosen = table.take(kept)
        self._check_ids(chosen.column(ID).combine_chunks(), ids)
        return chosen.select(columns)

    def _check_kept(self, kept: npt.NDArray[np.int64], rows: int) -> None:
        if len(kept) and kept[-1] >= rows:
            raise InputError(f"{self.keep}: keeps row {kept[-1]}, {self.path} has {rows} rows; run the stage 'dedup' again")

    def _check_ids(self, found: pa.Array, kept: pa.Array) -> None:
        if not found.equals(kept):
            raise InputError(f"{self.keep}: keeps other documents than {self.path} holds there; run the stage 'dedup' again")

    def selected(self) -> npt.NDArray[np.int64]:
        """Row numbers of the selected rows in the file, ascending."""
        return np.arange(self.rows) if self.keep is None else kept_rows(self.keep)


def kept_rows(keep: str) -> npt.NDArray[np.int64]:
    """The rows that a keep list keeps, ascending."""
    rows: npt.NDArray[np.int64] = files.read_table(keep, ["row"]).column("row").to_numpy()
    if len(rows) and (rows[0] < 0 or (np.diff(rows) <= 0).any()):
        raise InputError(f"{keep}: its row numbers do not ascend; run the stage 'dedup' again")
    return rows


def kept_documents(keep: str) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """The rows that a keep list keeps, ascending, and their document ids."""
    return kept_rows(keep), files.read_table(keep, [ID]).column(ID).combine_chunks()


def document_shards(folder: str) -> list[DocumentShard]:
    """The shards of a documents, dedup or overlap folder. Raises InputError for any other."""
    manifest = load_stage(folder, "documents", "dedup", "overlap")
    if manifest.stage == "documents":
        return [DocumentShard(files.join(folder, e.name), None, e.rows) for e in manifest.of_kind("documents")]
    if manifest.stage == "overlap":
        shards = document_shards(input_folder(folder, manifest, "dedup"))
        keeps = _keep_lists(folder, manifest, len(shards))
        return [replace(s, keep=files.join(folder, k.name), rows=k.rows) for s, k in zip(shards, keeps, strict=True)]
    if rewritten := manifest.of_kind("documents"):  # spans were cut: the dedup folder holds the texts itself
        return [DocumentShard(files.join(folder, e.name), None, e.rows) for e in rewritten]
    documents = input_folder(folder, manifest, "documents")
    entries = load_stage(documents, "documents").of_kind("documents")
    keeps = _keep_lists(folder, manifest, len(entries))
    return [
        DocumentShard(files.join(documents, entry.name), files.join(folder, keep.name), keep.rows)
        for entry, keep in zip(entries, keeps, strict=True)
    ]


def _keep_lists(folder: str, manifest: StageManifest, shards: int) -> list[FileEntry]:
    """The keep lists of a folder, one per document shard. Raises InputError for another number of them."""
    keeps = manifest.of_kind("keep")
    if len(keeps) != shards:
        raise InputError(f"{folder}: names {len(keeps)} keep lists for {shards} document shards; run its stage again")
    return keeps


def may_repeat_texts(folder: str) -> bool:
    """Whether a documents, dedup or overlap folder may hold a text twice: none where dedup removed equal texts."""
    manifest = load_stage(folder, "documents", "dedup", "overlap")
    if manifest.stage == "overlap":
        return may_repeat_texts(input_folder(folder, manifest, "dedup"))
    return manifest.stage == "documents" or manifest.settings.get("remove_duplicates") == "none"


def text_bytes(manifest: StageManifest) -> int:
    """UTF-8 bytes of the text of a documents or dedup folder, from its counters."""
    if "text_bytes" not in manifest.counters:
        raise InputError(f"the manifest of a stage '{manifest.stage}' has no counter 'text_bytes'; run the stage again")
    return manifest.counters["text_bytes"]


def utf8_bytes(texts: pa.Array) -> int:
    """UTF-8 bytes of a string array."""
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)

"""TODO-DOC."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage import files
from pipeline.storage.manifest import NAME, Books, FileEntry, Input, StageManifest, resolve, stage_input


@dataclass(frozen=True, slots=True)
class Gone:
    """A removed document: its shard of the documents stage, its row there, and whether it was in the keep list."""

    shard: int
    row: int
    document_id: bytes
    url: str
    language: str | None
    text_bytes: int
    kept: bool


@dataclass
class NextFolder:
    """A stage's next folder on its way: files carried over or written, then the manifest."""

    source: str
    target: str
    manifest: StageManifest
    entries: list[FileEntry] = field(default_factory=list)
    written: int = 0

    def carry(self, entry: FileEntry) -> None:
        """Take a file over as it is."""
        carry_file(files.join(self.source, entry.name), files.join(self.target, entry.name))
        self.entries.append(entry)

    def write(self, entry: FileEntry, rows: int, fill: Callable[[IO[bytes]], object]) -> FileEntry:
        """Write a file anew under its old name."""
        digest = files.publish(files.join(self.target, entry.name), fill)
        self.entries.append(FileEntry(entry.name, entry.kind, rows, digest.bytes, digest.sha256))
        self.written += 1
        return self.entries[-1]

    def write_table(self, entry: FileEntry, table: pa.Table) -> None:
        """The same for a table."""
        self.write(entry, table.num_rows, lambda file: pq.write_table(table, file, compression="zstd", row_group_size=4096))

    def filter_table(self, entry: FileEntry, column: str, values: Sequence[Any]) -> pa.Table:
        """Write a table anew without the rows whose `column` is one of `values`; carried over where there are none. Those rows."""
        table = files.read_table(files.join(self.source, entry.name))
        hits = pc.is_in(table.column(column), value_set=pa.array(values, table.schema.field(column).type))
        if pc.any(hits).as_py():
            self.write_table(entry, table.filter(pc.invert(hits)))
        else:
            self.carry(entry)
        return table.filter(hits)

    def close(self, books: Books, counters: Mapping[str, int], inputs: Mapping[str, str], dataset: Any = None) -> StageManifest:
        """Publish the manifest; `inputs` are the folders that now stand for the old ones, by name."""
        now = {name: self._seen_from_here(entry) for name, entry in self.manifest.inputs.items()}
        now |= {name: stage_input(folder, self.target) for name, folder in inputs.items()}
        books.check(f"{self.manifest.stage} without the removed")
        entries = tuple(sorted(self.entries, key=lambda e: e.name))
        left = {name: value for name, value in counters.items() if value}
        next_manifest = replace(self.manifest, inputs=now, files=entries, books=books, counters=left, dataset=dataset)
        next_manifest.save(self.target)
        return next_manifest

    def _seen_from_here(self, entry: Input) -> Input:
        folder = resolve(self.source, entry)
        standing = files.exists(files.join(folder, NAME)) and StageManifest.load(folder).sha256 == entry.sha256
        return stage_input(folder, self.target) if standing else entry


def carry_file(source: str, target: str) -> None:
    """Let a published file stand at `target` too: linked where the file system can, else copied."""
    if not (files.is_local(source) and files.is_local(target)):
        files.publish_bytes(target, files.read_bytes(source))
        return
    files.make_folder(target.rpartition("/")[0] or ".")
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)

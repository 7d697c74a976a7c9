"""The next version of a stage's folder: files carried over or written anew, then the manifest."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.chain import names_folder
from pipeline.storage.manifest import NAME, Books, FileEntry, Input, StageManifest, input_place, relative_path, stage_input
from tokenizer.errors import InputError


@dataclass(frozen=True, slots=True)
class RemovedDocument:
    """A document to remove: its shard number and row in the documents stage, and whether dedup kept it."""

    shard: int
    row: int
    document_id: bytes
    url: str
    dedup_key: str
    language: str | None
    text_bytes: int
    kept: bool


@dataclass
class NextFolder:
    """The folder `target` that becomes the next version of `source`, and will lie at `place` (`target`, unless it is switched).

    `written` counts the files whose content changes; `replaced` lists them: name, and the sha256 before and after. `advance` is told
    of each file that is done.
    """

    source: str
    target: str
    manifest: StageManifest
    place: str = ""
    advance: Callable[[int], object] = lambda _: None
    entries: list[FileEntry] = field(default_factory=list)
    written: int = 0
    replaced: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = self.place or self.target

    def carry(self, entry: FileEntry) -> None:
        """Carry a file over unchanged."""
        carry_file(files.join(self.source, entry.name), files.join(self.target, entry.name))
        self.entries.append(entry)
        self.advance(1)

    def write(self, entry: FileEntry, rows: int, fill: Callable[[IO[bytes]], object]) -> FileEntry:
        """Write new content under the file's old name, or a new file; returns the new entry."""
        digest = files.publish(files.join(self.target, entry.name), fill)
        self.entries.append(FileEntry(entry.name, entry.kind, rows, digest.bytes, digest.sha256))
        if entry.sha256:
            self.advance(1)
            self.written += 1
            self.replaced.append((entry.name, entry.sha256, digest.sha256))
        return self.entries[-1]

    def write_table(self, entry: FileEntry, table: pa.Table) -> None:
        """Write a table as Parquet under the file's old name."""
        self.write(entry, table.num_rows, lambda file: pq.write_table(table, file, compression="zstd", row_group_size=4096))

    def filter_table(self, entry: FileEntry, column: str, values: Sequence[Any]) -> pa.Table:
        """Write a table without the rows whose `column` is one of `values`, or carry it over if no row is; returns those rows."""
        table = files.read_table(files.join(self.source, entry.name))
        hits = pc.is_in(table.column(column), value_set=pa.array(values, table.schema.field(column).type))
        if pc.any(hits).as_py():
            self.write_table(entry, table.filter(pc.invert(hits)))
        else:
            self.carry(entry)
        return table.filter(hits)

    def write_drops(self, reason: str, items: Sequence[tuple[str, str]]) -> None:
        """List removed items (name and detail) in a drops file of their own."""
        number = 1 + sum(entry.name.startswith("drops/removed-") for entry in self.manifest.files)
        drops = Drop.table([Drop(self.manifest.stage, item, reason, detail or None) for item, detail in items])
        self.write_table(FileEntry(f"drops/removed-{number:04d}.parquet", "drops", 0, 0, ""), drops)

    def close(
        self, books: Books, counters: Mapping[str, int], inputs: "Mapping[str, NextFolder]", dataset: Any = None
    ) -> StageManifest:
        """Publish the manifest. `inputs` are the next versions that replace the old inputs, by name."""
        next_inputs = {name: self._relocate(entry) for name, entry in self.manifest.inputs.items()}
        next_inputs |= {name: folder.as_input(self.place) for name, folder in inputs.items() if name in next_inputs}
        books.check(f"{self.manifest.stage} without the removed documents")
        entries = tuple(sorted(self.entries, key=lambda e: e.name))
        nonzero = {name: value for name, value in counters.items() if value}
        next_manifest = replace(self.manifest, inputs=next_inputs, files=entries, books=books, counters=nonzero, dataset=dataset)
        next_manifest.save(self.target)
        return next_manifest

    def as_input(self, seen_from: str) -> Input:
        """This next version as an input of the stage that lies in the folder `seen_from`."""
        return Input(relative_path(self.place, seen_from), StageManifest.load(self.target).sha256)

    def _relocate(self, entry: Input) -> Input:
        """The input with its path relative to `place`; unchanged if its folder is gone, has changed or may not be read."""
        if self.place == self.source or not names_folder(entry):
            return entry
        try:
            folder = input_place(self.source, entry)
        except InputError:
            return entry
        unchanged = files.exists(files.join(folder, NAME)) and StageManifest.load(folder).sha256 == entry.sha256
        return stage_input(folder, self.place) if unchanged else entry


def carry_file(source: str, target: str) -> None:
    """Publish the file `source` at `target` too: as a hard link if the file system allows it, else as a copy."""
    if not (files.is_local(source) and files.is_local(target)):
        files.publish_bytes(target, files.read_bytes(source))
        return
    files.make_folder(target.rpartition("/")[0] or ".")
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)

"""The next version of a stage's files without some documents: only the files concerned are written, the others are carried over.

A document that was kept for others is not replaced by one of them: what was asked to go has gone with its near-duplicates.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import arrays, files
from pipeline.manifest import NAME, Books, FileEntry, Input, Manifest, resolve, stage_input
from pipeline.parts import TableSink
from pipeline.records import Drop
from pipeline.views import KEEP_SCHEMA

REASON = "taken_down"
SHINGLE_BYTES = 6
Rows = npt.NDArray[np.int64]


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
    manifest: Manifest
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

    def close(self, books: Books, counters: Mapping[str, int], inputs: Mapping[str, str], dataset: Any = None) -> Manifest:
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
        standing = files.exists(files.join(folder, NAME)) and Manifest.load(folder).sha256 == entry.sha256
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


def by_shard(gone: Sequence[Gone]) -> dict[int, Rows]:
    """The removed rows of each shard concerned, ascending."""
    shards = sorted({one.shard for one in gone})
    return {shard: np.array(sorted(one.row for one in gone if one.shard == shard), np.int64) for shard in shards}


def next_documents(folder: NextFolder, gone: Sequence[Gone]) -> Manifest:
    """The documents stage without the removed; they stand in a drops file of their own."""
    concerned = by_shard(gone)
    for number, entry in enumerate(folder.manifest.of_kind("documents")):
        if number in concerned:
            folder.write(
                entry, entry.rows - len(concerned[number]), _without(files.join(folder.source, entry.name), concerned[number])
            )
        else:
            folder.carry(entry)
    for entry in folder.manifest.of_kind("drops"):
        folder.carry(entry)
    earlier = sum(entry.name.startswith("drops/removed-") for entry in folder.manifest.files)
    drops = Drop.table([Drop("documents", one.url, REASON, one.document_id.hex()) for one in gone])
    folder.write_table(FileEntry(f"drops/removed-{earlier + 1:04d}.parquet", "drops", 0, 0, ""), drops)
    old = folder.manifest.books
    books = Books(old.items_in, old.items_out - len(gone), {**old.dropped, REASON: old.dropped.get(REASON, 0) + len(gone)})
    counters = Counter(folder.manifest.counters)
    counters.subtract({"text_bytes": sum(one.text_bytes for one in gone)})
    counters.subtract(Counter(name for one in gone if (name := f"language_{one.language}") in counters))
    return folder.close(books, counters, {})


def _without(path: str, rows: Rows) -> Callable[[IO[bytes]], object]:
    """Fill a file with the table at `path` but for some rows, a batch at a time."""

    def fill(file: IO[bytes]) -> None:
        start, sink = 0, None
        for batch in files.record_batches(path, rows=1024):
            sink = sink or TableSink(file, batch.schema)
            low, high = np.searchsorted(rows, (start, start + batch.num_rows))
            stays = np.ones(batch.num_rows, bool)
            stays[rows[low:high] - start] = False
            if stays.any():
                sink.write(batch.filter(pa.array(stays)))
            start += batch.num_rows
        if sink:
            sink.close()

    return fill


def next_dedup(folder: NextFolder, gone: Sequence[Gone], documents: str) -> Manifest:
    """The dedup stage of the next documents: keep lists and index renumbered, the removed ones' duplicates and drops left out."""
    concerned = by_shard(gone)
    urls = [one.url for one in gone if not one.kept]
    dropped: Counter[str] = Counter()
    for kind in dict.fromkeys(entry.kind for entry in folder.manifest.files):
        for number, entry in enumerate(folder.manifest.of_kind(kind)):
            if kind == "drops":
                dropped.update(folder.filter_table(entry, "item", urls).column("reason").to_pylist())
            elif kind == "duplicates":
                folder.filter_table(entry, "url", urls)
            elif number in concerned:
                _renumber(folder, kind, entry, number, concerned[number])
            else:
                folder.carry(entry)
    old, left = folder.manifest.books, Counter(folder.manifest.books.dropped)
    left.subtract(dropped)
    kept = [one for one in gone if one.kept]
    books = Books(old.items_in - len(gone), old.items_out - len(kept), {name: items for name, items in left.items() if items})
    counters = Counter(folder.manifest.counters)
    counters.subtract({"text_bytes": sum(one.text_bytes for one in kept)})
    return folder.close(books, counters, {"documents": documents})


def _renumber(folder: NextFolder, kind: str, entry: FileEntry, number: int, rows: Rows) -> None:
    path = files.join(folder.source, entry.name)
    if kind == "keep":
        kept = files.read_table(path)
        numbers = kept.column("row").to_numpy()
        stays = ~np.isin(numbers, rows)
        moved = numbers[stays] - np.searchsorted(rows, numbers[stays])
        ids = kept.column("document_id").filter(pa.array(stays))
        folder.write_table(entry, pa.table([pa.array(moved), ids.combine_chunks()], schema=KEEP_SCHEMA))
    elif kind == "rows":
        table = files.read_table(path)
        folder.write_table(entry, table.filter(pa.array(_stays(table.num_rows, rows))))
    elif kind == "signatures":
        matrix = arrays.load(path)
        left = matrix[_stays(len(matrix), rows)]
        folder.write(entry, len(left), lambda file: arrays.write(file, left))
    elif kind == "shingles":
        counts = _shingles_of(folder, number)
        data = np.frombuffer(files.read_bytes(path), np.uint8).reshape(-1, SHINGLE_BYTES)
        left = data[np.repeat(_stays(len(counts), rows), counts)]
        folder.write(entry, entry.rows - len(rows), lambda file: file.write(left.tobytes()))
    else:
        raise ValueError(f"{entry.name}: a file of kind '{kind}', which this program cannot write without some documents")


def _shingles_of(folder: NextFolder, number: int) -> Rows:
    entry = folder.manifest.of_kind("rows")[number]
    counts: Rows = files.read_table(files.join(folder.source, entry.name), ["shingles"]).column("shingles").to_numpy()
    return counts


def _stays(total: int, rows: Rows) -> npt.NDArray[np.bool_]:
    stays = np.ones(total, bool)
    stays[rows] = False
    return stays

"""The next version of a stage's files without some documents: only the files concerned are written, the others are carried over.

A document that was kept for others is not replaced by one of them: what was asked to go has gone with its near-duplicates.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.corpus.next_folder import Gone, NextFolder
from pipeline.engine.writer import TableSink
from pipeline.records import Drop
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import KEEP_SCHEMA
from pipeline.storage.manifest import Books, FileEntry, StageManifest

REASON = "taken_down"
SHINGLE_BYTES = 6
Rows = npt.NDArray[np.int64]


def by_shard(gone: Sequence[Gone]) -> dict[int, Rows]:
    """The removed rows of each shard concerned, ascending."""
    shards = sorted({one.shard for one in gone})
    return {shard: np.array(sorted(one.row for one in gone if one.shard == shard), np.int64) for shard in shards}


def next_documents(folder: NextFolder, gone: Sequence[Gone]) -> StageManifest:
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


def next_dedup(folder: NextFolder, gone: Sequence[Gone], documents: str) -> StageManifest:
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

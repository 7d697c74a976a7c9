"""The next version of the stage `pages` without some pages: index rows, drops, and the WARC records themselves."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import pyarrow as pa

from pipeline.corpus import trace
from pipeline.corpus.next_folder import NextFolder
from pipeline.pages.warc_reader import read_records
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest

REASON = "taken_down"
COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RemovedPages:
    """The addresses of the removed pages, and the next versions that the stage after `pages` then follows from."""

    urls: Sequence[str] = ()
    inputs: Mapping[str, NextFolder] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WarcSpans:
    """Byte ranges (start, end) to leave out of a WARC file, ascending, and the number of records in them."""

    spans: tuple[tuple[int, int], ...]
    records: int

    def moved(self, offset: int) -> int:
        """Where a record at `offset` lies once the ranges are left out."""
        return offset - sum(end - start for start, end in self.spans if end <= offset)


def next_pages(folder: NextFolder, keys: Collection[str], inputs: Mapping[str, NextFolder]) -> RemovedPages:
    """Write the pages stage without the pages that have these dedup keys, and their WARC records; list them in a new drops file.

    `inputs` are the next versions of the stages before it.
    """
    indexes = [(entry, files.read_table(files.join(folder.source, entry.name))) for entry in folder.manifest.of_kind("pages")]
    removed = [row for _, table in indexes for row in table.to_pylist() if row["dedup_key"] in keys]
    cuts = _cuts(folder, [table for _, table in indexes], keys)
    for entry, table in indexes:
        _write_index(folder, entry, table, keys, cuts)
    for entry in folder.manifest.files:
        if entry.kind == "warc" and entry.name in cuts:
            _write_warc(folder, entry, cuts[entry.name])
        elif entry.kind != "pages":
            folder.carry(entry)
    if removed:
        folder.write_drops(REASON, [(row["url"], "") for row in removed])
    _close(folder, removed, inputs)
    return RemovedPages([row["url"] for row in removed], {"pages": folder})


def _close(folder: NextFolder, removed: Sequence[trace.ParquetRow], inputs: Mapping[str, NextFolder]) -> StageManifest:
    old = folder.manifest.books
    dropped = {**old.dropped, REASON: old.dropped.get(REASON, 0) + len(removed)} if removed else old.dropped
    counters = dict(folder.manifest.counters)
    if "body_bytes" in counters:
        counters["body_bytes"] -= sum(row["body_bytes"] for row in removed)
    return folder.close(Books(old.items_in, old.items_out - len(removed), dropped), counters, inputs)


def _write_index(
    folder: NextFolder, entry: FileEntry, table: pa.Table, keys: Collection[str], cuts: Mapping[str, WarcSpans]
) -> None:
    """Write an index without the removed pages; the others' offsets move with what is left out before them."""
    names = table.column("warc_file").to_pylist()
    keep = np.array([key not in keys for key in table.column("dedup_key").to_pylist()], bool)
    if keep.all() and not cuts.keys() & set(names):
        folder.carry(entry)
        return
    offsets = [
        cuts[name].moved(offset) if name in cuts else offset
        for name, offset in zip(names, table.column("warc_offset").to_pylist(), strict=True)
    ]
    position = table.schema.get_field_index("warc_offset")
    moved = table.set_column(position, table.schema.field(position), pa.array(offsets, pa.int64()))
    kept = moved.filter(pa.array(keep))
    folder.write_table(entry, kept.cast(Page.SCHEMA) if kept.schema.names == Page.SCHEMA.names else kept)


def _cuts(folder: NextFolder, indexes: Sequence[pa.Table], keys: Collection[str]) -> dict[str, WarcSpans]:
    """What to leave out of each WARC file: the records of the removed pages, and captures of their addresses that no index names."""
    gone: dict[str, set[int]] = defaultdict(set)
    kept: dict[str, set[int]] = defaultdict(set)
    for table in indexes:
        columns = (table.column(name).to_pylist() for name in ("warc_file", "warc_offset", "dedup_key"))
        for name, offset, key in zip(*columns, strict=True):
            (gone if key in keys else kept)[name].add(offset)
    found: dict[str, WarcSpans] = {}
    for entry in folder.manifest.of_kind("warc"):
        spans = _spans(files.join(folder.source, entry.name), gone[entry.name], kept[entry.name], keys)
        if spans.spans:
            found[entry.name] = spans
    return found


def _spans(path: str, gone: Collection[int], kept: Collection[int], keys: Collection[str]) -> WarcSpans:
    """The records of pages at the offsets `gone`, and of pages at no offset that is `kept` whose address has one of the keys."""
    spans: list[tuple[int, int]] = []
    records = 0
    for group in _groups(path):
        offsets = {offset for offset, _, _ in group}
        unnamed = offsets.isdisjoint(kept) and any(url and trace.key_or_none(url) in keys for _, _, url in group)
        if not offsets.isdisjoint(gone) or unnamed:
            spans.append((group[0][0], group[-1][1]))
            records += len(group)
    return WarcSpans(tuple(spans), records)


def _groups(path: str) -> Iterator[list[tuple[int, int, str]]]:
    """Start, end and address of the records of each page of a WARC file, in file order; the file's own record is left out.

    A page's records end with a metadata record.
    """
    group: list[tuple[int, int, str]] = []
    for record in read_records(path):
        if record.kind == "warcinfo":
            continue
        group.append((record.offset, record.offset + record.length, record.url))
        if record.kind == "metadata":
            yield group
            group = []
    if group:
        yield group


def _write_warc(folder: NextFolder, entry: FileEntry, cut: WarcSpans) -> None:
    path = files.join(folder.source, entry.name)

    def fill(target: IO[bytes]) -> None:
        with files.open_input(path) as source:
            start = 0
            for left_out, resumed in (*cut.spans, (entry.bytes, entry.bytes)):
                source.seek(start)
                _copy(source, target, left_out - start)
                start = resumed

    folder.write(entry, entry.rows - cut.records, fill)


def _copy(source: IO[bytes], target: IO[bytes], count: int) -> None:
    while count:
        chunk = source.read(min(count, COPY_BYTES))
        target.write(chunk)
        count -= len(chunk)

"""The next version of the stages from `documents` to `tokens` without some documents.

Only files that hold a removed document are written; the others are carried over. If a removed document had duplicates, none of them
takes its place: a request to remove a text covers its near-duplicates.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.next_folder import NextFolder, RemovedDocument
from pipeline.corpus.page_removal import REASON, RemovedPages
from pipeline.corpus.unigram_entropy import unigram_entropies
from pipeline.engine.writer import TableSink
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import CLUSTERS, KEEP_SCHEMA
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from tokenizer.shards import Header, Shard, ShardEntry, ShardWriter, SplitEntry, TokenBatch
from tokenizer.shards import Manifest as Dataset

SHINGLE_BYTES = 6
RowNumbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def removed_rows_by_shard(removed: Sequence[RemovedDocument]) -> dict[int, RowNumbers]:
    """Shard number to the removed rows of that shard, ascending."""
    shards = sorted({document.shard for document in removed})
    return {
        shard: np.array(sorted(document.row for document in removed if document.shard == shard), np.int64) for shard in shards
    }


def next_documents(folder: NextFolder, removed: Sequence[RemovedDocument], pages: RemovedPages) -> StageManifest:
    """Write the documents stage without the removed documents; where their pages stay, list them in a new drops file.

    Of removed pages the stage knows nothing any more: they are not among its items, nor in its drops.
    """
    affected = removed_rows_by_shard(removed)
    for number, entry in enumerate(folder.manifest.of_kind("documents")):
        if number in affected:
            folder.write(
                entry, entry.rows - len(affected[number]), _write_without(files.join(folder.source, entry.name), affected[number])
            )
        else:
            folder.carry(entry)
    dropped = Counter(folder.manifest.books.dropped)
    gone = 0
    for entry in folder.manifest.of_kind("drops"):
        reasons = folder.filter_table(entry, "item", pages.urls).column("reason").to_pylist()
        dropped.subtract(reasons)
        gone += len(reasons)
    left = [document for document in removed if document.url not in pages.urls]
    if left:
        folder.write_drops(REASON, [(document.url, document.document_id.hex()) for document in left])
        dropped[REASON] += len(left)
    counters = Counter(folder.manifest.counters)
    for entry in folder.manifest.of_kind("site_lines"):
        cut = folder.filter_table(entry, "url", [document.url for document in removed]).column("characters").to_pylist()
        counters.subtract({"site_line_documents": len(cut), "site_line_characters": sum(cut)})
    old = folder.manifest.books
    books = Books(old.items_in - gone - (len(removed) - len(left)), old.items_out - len(removed), _positive(dropped))
    counters.subtract({"text_bytes": sum(document.text_bytes for document in removed)})
    counters.subtract(Counter(name for document in removed if (name := f"language_{document.language}") in counters))
    return folder.close(books, counters, pages.inputs)


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: items for name, items in counts.items() if items}


def _write_without(path: str, rows: RowNumbers) -> Callable[[IO[bytes]], object]:
    """A function that fills a file with the table at `path` without some rows, batch by batch."""

    def fill(file: IO[bytes]) -> None:
        start, sink = 0, None
        for batch in files.record_batches(path, rows=1024):
            sink = sink or TableSink(file, batch.schema)
            low, high = np.searchsorted(rows, (start, start + batch.num_rows))
            keep = np.ones(batch.num_rows, bool)
            keep[rows[low:high] - start] = False
            if keep.any():
                sink.write(batch.filter(pa.array(keep)))
            start += batch.num_rows
        if sink:
            sink.close()

    return fill


def next_dedup(
    folder: NextFolder, removed: Sequence[RemovedDocument], encoded: Sequence[tuple[bytes, int]], documents: NextFolder
) -> StageManifest:
    """Write the dedup stage for the next documents: keep lists and index renumbered, duplicates and drops of removed rows left out.

    `encoded` has id and bytes of each removed document that dedup kept.
    """
    affected = removed_rows_by_shard(removed)
    all_urls = [document.url for document in removed]
    urls = [document.url for document in removed if not document.kept]
    dropped: Counter[str] = Counter()
    for kind in dict.fromkeys(entry.kind for entry in folder.manifest.files):
        for number, entry in enumerate(folder.manifest.of_kind(kind)):
            if kind == "drops":
                dropped.update(folder.filter_table(entry, "item", urls).column("reason").to_pylist())
            elif kind == "duplicates":
                folder.filter_table(entry, "url", urls)
            elif kind in ("documents", "rewritten", CLUSTERS):  # spans were cut, duplicates were kept
                folder.filter_table(entry, "url", all_urls)
            elif number in affected:
                _renumber(folder, kind, entry, number, affected[number])
            else:
                folder.carry(entry)
    old, left = folder.manifest.books, Counter(folder.manifest.books.dropped)
    left.subtract(dropped)
    kept = sum(document.kept for document in removed)
    books = Books(old.items_in - len(removed), old.items_out - kept, _positive(left))
    counters = Counter(folder.manifest.counters)
    counters.subtract({"text_bytes": sum(size for _, size in encoded)})
    return folder.close(books, counters, {"documents": documents})


def next_overlap(
    folder: NextFolder, removed: Sequence[RemovedDocument], encoded: Sequence[tuple[bytes, int]], dedup: NextFolder
) -> StageManifest:
    """Write the overlap stage for the next dedup: keep lists renumbered, overlapping documents and drops left out.

    `encoded` has id and bytes of each removed document that overlap kept.
    """
    was_cut = bool(dedup.manifest.of_kind("documents"))
    affected = _rows_of_cut_files(dedup, removed) if was_cut else removed_rows_by_shard(removed)
    urls = [document.url for document in removed]
    counters, dropped = Counter(folder.manifest.counters), Counter(folder.manifest.books.dropped)
    for kind in dict.fromkeys(entry.kind for entry in folder.manifest.files):
        for number, entry in enumerate(folder.manifest.of_kind(kind)):
            if kind == "drops":
                dropped.subtract(folder.filter_table(entry, "item", urls).column("reason").to_pylist())
            elif kind == "overlapping":
                counters["overlapping_documents"] -= folder.filter_table(entry, "url", urls).num_rows
            elif kind == "keep" and number in affected:
                _renumber(folder, kind, entry, number, affected[number])
            else:
                folder.carry(entry)
    old = folder.manifest.books
    left = _positive(dropped)
    items_out = old.items_out - len(encoded)
    counters.subtract({"text_bytes": sum(size for _, size in encoded)})
    return folder.close(Books(items_out + sum(left.values()), items_out, left), counters, {"dedup": dedup})


def _rows_of_cut_files(dedup: NextFolder, removed: Sequence[RemovedDocument]) -> dict[int, RowNumbers]:
    """The rows of the removed documents in the files that dedup wrote where it cut spans."""
    urls = pa.array(sorted({document.url for document in removed}), pa.string())
    rows: dict[int, RowNumbers] = {}
    for number, entry in enumerate(dedup.manifest.of_kind("documents")):
        column = files.read_table(files.join(dedup.source, entry.name), ["url"]).column("url")
        hits = np.flatnonzero(np.asarray(pc.is_in(column, value_set=urls)))
        if len(hits):
            rows[number] = hits
    return rows


def next_vocabulary(folder: NextFolder, dedup: NextFolder) -> StageManifest:
    """Carry the vocabulary over to the next dedup: its entries stay, and with them the ids of all shards."""
    for entry in folder.manifest.files:
        folder.carry(entry)
    return folder.close(folder.manifest.books, folder.manifest.counters, {"dedup": dedup})


def _renumber(folder: NextFolder, kind: str, entry: FileEntry, number: int, rows: RowNumbers) -> None:
    """Write the file of shard `number` without the removed rows of the documents shard."""
    path = files.join(folder.source, entry.name)
    if kind == "keep":
        kept = files.read_table(path, KEEP_SCHEMA.names)
        numbers = kept.column("row").to_numpy()
        keep = ~np.isin(numbers, rows)
        renumbered = numbers[keep] - np.searchsorted(rows, numbers[keep])
        ids = kept.column("document_id").filter(pa.array(keep))
        folder.write_table(entry, pa.table([pa.array(renumbered), ids.combine_chunks()], schema=KEEP_SCHEMA))
    elif kind == "rows":
        table = files.read_table(path)
        folder.write_table(entry, table.filter(pa.array(_all_but(rows, table.num_rows))))
    elif kind == "signatures":
        matrix = arrays.load(path)
        left = matrix[_all_but(rows, len(matrix))]
        folder.write(entry, len(left), lambda file: arrays.write(file, left))
    elif kind == "shingles":
        counts = _shingle_counts(folder, number)
        data = np.frombuffer(files.read_bytes(path), np.uint8).reshape(-1, SHINGLE_BYTES)
        left = data[np.repeat(_all_but(rows, len(counts)), counts)]
        folder.write(entry, entry.rows - len(rows), lambda file: file.write(left.tobytes()))
    else:
        raise ValueError(f"{entry.name}: documents cannot be removed from a file of kind '{kind}'")


def _shingle_counts(folder: NextFolder, number: int) -> RowNumbers:
    entry = folder.manifest.of_kind("rows")[number]
    counts: RowNumbers = files.read_table(files.join(folder.source, entry.name), ["shingles"]).column("shingles").to_numpy()
    return counts


def _all_but(rows: RowNumbers, total: int) -> Mask:
    keep = np.ones(total, bool)
    keep[rows] = False
    return keep


def next_tokens(folder: NextFolder, text_bytes: Mapping[bytes, int], inputs: Mapping[str, NextFolder]) -> StageManifest:
    """Write the tokens stage without some documents: `text_bytes` has the UTF-8 bytes of each, by id.

    Raises FormatError if a shard is damaged.
    """
    dataset = Dataset.load(folder.source)
    dataset.verify()
    counters = Counter(folder.manifest.counters)
    splits: dict[str, SplitEntry] = {}
    for name, split in dataset.splits.items():
        opened = zip(split.shards, dataset.open(name, verify=False), strict=True)
        shards = [_next_shard(folder, entry.name, shard, text_bytes) for entry, shard in opened]
        lost_bytes = sum(lost for _, lost in shards)
        entries = tuple(entry for entry, _ in shards)
        documents, tokens = sum(e.documents for e in entries), sum(e.tokens for e in entries)
        splits[name] = SplitEntry(documents, tokens, split.text_bytes - lost_bytes, entries)
        counters.subtract({f"text_bytes_{name}": lost_bytes} if f"text_bytes_{name}" in counters else {})
    for entry in folder.manifest.files:
        if entry.kind in ("drops", "tokenizer"):
            folder.carry(entry)
    after = replace(dataset, folder=folder.target, splits=splits, unigram_entropy_nats={})
    after = replace(after, unigram_entropy_nats=unigram_entropies(after))
    old = folder.manifest.books
    gone = old.items_out - sum(split.documents for split in splits.values())
    books = Books(old.items_in - gone, old.items_out - gone, old.dropped)
    return folder.close(books, counters, inputs, after.section())


def _next_shard(folder: NextFolder, name: str, shard: Shard, text_bytes: Mapping[bytes, int]) -> tuple[ShardEntry, int]:
    """The shard's next entry, and the bytes of text that it lost. `text_bytes` are those of the removed documents, by id."""
    (entry,) = (e for e in folder.manifest.files if e.name == name)
    rest = shard_without(shard, text_bytes)
    if not rest.lost:
        folder.carry(entry)
        return ShardEntry(entry.name, shard.header.documents, shard.header.tokens, entry.bytes, entry.sha256), 0
    written: FileEntry = folder.write(entry, rest.header.documents, rest.write)
    numbers = (rest.header.documents, rest.header.tokens)
    return ShardEntry(written.name, *numbers, written.bytes, written.sha256), sum(text_bytes[key] for key in rest.lost)


@dataclass(frozen=True, slots=True)
class ShardRest:
    """What is left of a token shard, and the ids of the documents that it lost."""

    header: Header
    batches: Sequence[TokenBatch]
    lost: Sequence[bytes]

    def write(self, file: IO[bytes]) -> None:
        """Write the shard."""
        writer = ShardWriter(file, self.header)
        for batch in self.batches:
            writer.write(batch)
        writer.close()


def shard_without(shard: Shard, ids: Collection[bytes]) -> ShardRest:
    """A token shard without the documents that have these ids."""
    masks = [_keep_mask(batch, ids) for batch in shard.batches]
    lost = [
        batch.document_ids[i].tobytes() for batch, keep in zip(shard.batches, masks, strict=True) for i in np.flatnonzero(~keep)
    ]
    batches = [_select(batch, keep) for batch, keep in zip(shard.batches, masks, strict=True)] if lost else shard.batches
    documents, tokens = sum(len(b) for b in batches), sum(len(b.tokens) for b in batches)
    return ShardRest(replace(shard.header, documents=documents, tokens=tokens), batches, lost)


def _keep_mask(batch: TokenBatch, removed: Collection[bytes]) -> Mask:
    ids = np.ascontiguousarray(batch.document_ids).view("V16").ravel()
    removed_ids = np.array(sorted(removed), "V16") if removed else np.array([], "V16")
    return ~np.isin(ids, removed_ids)


def _select(batch: TokenBatch, keep: Mask) -> TokenBatch:
    lengths = np.diff(batch.offsets)
    offsets = np.concatenate([[0], np.cumsum(lengths[keep])])
    return TokenBatch(batch.tokens[np.repeat(keep, lengths)], offsets, batch.document_ids[keep])

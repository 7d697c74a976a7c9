"""Where things come from and where they went: from tokens back to the document, the WARC record and the submissions, and forward.

Looking up reads key columns and the rows that match, never the texts of the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.corpus.folder import Corpus
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.urls import dedup_key
from tokenizer.errors import FormatError
from tokenizer.shards import Manifest, TokenBatch

URL_STAGES = ("pages", "documents", "dedup")
"""Whose drops name their item by the URL that was fetched."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A document's place among the tokens of a split: `start` counts from the split's first token, the end of text is inside."""

    split: str
    shard: str
    document_id: bytes
    start: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Story:
    """All that a corpus knows of one page address; rows are as the stages wrote them, documents without their text."""

    key: str
    link: Row | None
    page: Row | None
    documents: tuple[Row, ...]
    drops: tuple[Row, ...]
    removed_for: tuple[Row, ...]
    stands_for: tuple[Row, ...]
    spans: tuple[Span, ...] = field(default=())


def rows_where(paths: Iterable[str], column: str, values: Sequence[Any], columns: list[str] | None = None) -> list[Row]:
    """The rows whose `column` is one of `values`, of all the Parquet files."""
    found: list[Row] = []
    for path in paths:
        kind = files.read_schema(path).field(column).type
        with files.decoding(path), files.open_input(path) as file:
            wanted = pc.field(column).isin(pa.array(values, kind))
            found += pq.read_table(file, columns=columns, filters=wanted, partitioning=None).to_pylist()
    return found


def stories(corpus: Corpus, keys: Sequence[str]) -> list[Story]:
    """The stories of those dedup keys, in their order; a key that nobody knows has an empty one."""
    links = {row["dedup_key"]: row for row in rows_where(corpus.paths("links", "links"), "dedup_key", keys)}
    pages = {row["dedup_key"]: row for row in rows_where(corpus.paths("pages", "pages"), "dedup_key", keys)}
    columns = [name for name in _document_columns(corpus) if name != "text"]
    documents = rows_where(corpus.paths("documents", "documents"), "dedup_key", keys, columns)
    urls = {row["url"]: row["dedup_key"] for row in [*links.values(), *pages.values(), *documents]}
    drops = [row for stage in URL_STAGES for row in rows_where(corpus.paths(stage, "drops"), "item", list(urls))]
    removed = rows_where(corpus.paths("dedup", "duplicates"), "url", list(urls))
    kept = rows_where(corpus.paths("dedup", "duplicates"), "kept_url", list(urls))
    gone = {row["url"] for row in removed}
    spans = spans_of(corpus, {row["document_id"] for row in documents if row["url"] not in gone})

    def of(rows: Iterable[Row], column: str, key: str) -> tuple[Row, ...]:
        return tuple(row for row in rows if urls.get(row[column]) == key)

    return [
        Story(
            key,
            links.get(key),
            pages.get(key),
            mine := of(documents, "url", key),
            of(drops, "item", key),
            of(removed, "url", key),
            of(kept, "kept_url", key),
            tuple(s for s in spans if any(s.document_id == d["document_id"] and d["url"] not in gone for d in mine)),
        )
        for key in keys
    ]


def _document_columns(corpus: Corpus) -> list[str]:
    for path in corpus.paths("documents", "documents"):
        return [str(name) for name in files.read_schema(path).names]
    return []


def key_of(url: str) -> str:
    """The dedup key of an address that a person typed. Raises InputError for what is none."""
    try:
        return dedup_key(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise InputError(f"{url}: not an address ({error})") from error


def keys_of_documents(corpus: Corpus, ids: Sequence[bytes]) -> list[str]:
    """The dedup keys of the documents of those ids: several where different addresses have the same text."""
    rows = rows_where(corpus.paths("documents", "documents"), "document_id", ids, ["dedup_key"])
    return sorted({row["dedup_key"] for row in rows})


def keys_of_submissions(corpus: Corpus, ids: Sequence[str]) -> list[str]:
    """The dedup keys of the links that those submissions name; an id may carry Reddit's prefix t3_."""
    wanted = pa.array([name.removeprefix("t3_") for name in ids], pa.string())
    keys: set[str] = set()
    for path in corpus.paths("links", "links"):
        for batch in files.record_batches(path, ["dedup_key", "submissions.list.element.id"], rows=1 << 16):
            lists = batch.column("submissions")
            hits = pc.is_in(lists.flatten().field("id"), value_set=wanted)
            keys.update(batch.column("dedup_key").take(pc.list_parent_indices(lists).filter(hits)).to_pylist())
    return sorted(keys)


def keys_with_text(corpus: Corpus, text: str, most: int) -> list[str]:
    """The dedup keys of the first `most` documents, in file order, whose text holds `text`, letters' case aside."""
    keys: list[str] = []
    for path in corpus.paths("documents", "documents"):
        for batch in files.record_batches(path, ["dedup_key", "text"], rows=512):
            hits = pc.match_substring(batch.column("text"), text, ignore_case=True)
            keys += batch.column("dedup_key").filter(hits).to_pylist()
            if len(keys) >= most:
                return keys[:most]
    return keys


def text_of(corpus: Corpus, document_id: bytes, url: str) -> str | None:
    """A document's text."""
    rows = rows_where(corpus.paths("documents", "documents"), "document_id", [document_id], ["url", "text"])
    return next((str(row["text"]) for row in rows if row["url"] == url), None)


def spans_of(corpus: Corpus, ids: set[bytes]) -> list[Span]:
    """Where the documents stand in the token shards: ids are compared, no token is read."""
    if not ids or "tokens" not in corpus.folders:
        return []
    wanted = pa.array(sorted(ids), pa.binary(16))
    found = []
    for place in _batches(token_manifest(corpus)):
        raw = pa.py_buffer(np.ascontiguousarray(place.batch.document_ids))
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(place.batch), [None, raw])
        rows = np.flatnonzero(pc.is_in(column, value_set=wanted).to_numpy(zero_copy_only=False))
        found += [place.span(int(row)) for row in rows]
    return found


def window(corpus: Corpus, split: str, start: int, tokens: int) -> list[Span]:
    """The documents that a window of a split's token stream touches, in order. Raises InputError beyond its end."""
    dataset = token_manifest(corpus)
    try:
        total = dataset.split(split).tokens
    except FormatError as error:
        raise InputError(str(error)) from error
    if start < 0 or tokens < 1 or start + tokens > total:
        raise InputError(f"--start {start} --tokens {tokens}: split '{split}' holds {total:,} tokens")
    found = []
    for place in _batches(dataset, split):
        offsets = place.batch.offsets + place.first
        low, high = np.searchsorted(offsets, start, "right") - 1, np.searchsorted(offsets, start + tokens)
        found += [place.span(row) for row in range(max(0, int(low)), min(int(high), len(place.batch)))]
    return found


def token_manifest(corpus: Corpus) -> Manifest:
    """The dataset of the corpus. Raises InputError where there is none or its files are damaged."""
    if "tokens" not in corpus.folders:
        raise InputError("the corpus has no token shards yet: run the stage 'tokens' first")
    try:
        return Manifest.load(corpus.folders["tokens"])
    except FormatError as error:
        raise InputError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Placed:
    """A record batch of a shard, and the position in its split of its first token."""

    split: str
    shard: str
    first: int
    batch: TokenBatch

    def span(self, row: int) -> Span:
        start, stop = int(self.batch.offsets[row]), int(self.batch.offsets[row + 1])
        return Span(self.split, self.shard, self.batch.document_ids[row].tobytes(), self.first + start, stop - start)


def _batches(dataset: Manifest, *splits: str) -> Iterator[_Placed]:
    for split in splits or dataset.splits:
        first = 0
        for shard in dataset.open(split, verify=False):
            for batch in shard.batches:
                yield _Placed(split, shard.header.name, first, batch)
                first += len(batch.tokens)

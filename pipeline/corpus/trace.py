"""What a corpus knows of one page address: submissions, link, WARC record, documents, drops, duplicates, tokens.

A lookup reads key columns and the rows that match, never the texts of the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import CorpusFolder
from pipeline.corpus.token_spans import TokenSpan, spans_of_documents
from pipeline.records import Document, Drop, Duplicate, Link, Page
from pipeline.storage import files
from pipeline.storage.columns import check_schema, check_values
from pipeline.storage.link_shards import keys_of_submissions as keys_of_submissions_by_id
from pipeline.storage.takedown_list import DOCUMENT, SITE, URL, typed_value
from pipeline.urls import canonical_host, dedup_key
from tokenizer.errors import InputError

URL_STAGES = ("pages", "documents", "dedup")
"""Stages whose drops name their item by the URL that was fetched."""

ParquetRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a corpus knows of one page address. Rows are as the stages wrote them, documents without their text.

    `removed_as` are the duplicates that this page was removed as, `kept_over` the duplicates that were removed in its favour.
    """

    key: str
    link: ParquetRow | None
    page: ParquetRow | None
    documents: tuple[ParquetRow, ...]
    drops: tuple[ParquetRow, ...]
    removed_as: tuple[ParquetRow, ...]
    kept_over: tuple[ParquetRow, ...]
    spans: tuple[TokenSpan, ...] = field(default=())


def rows_where(paths: Iterable[str], column: str, values: Sequence[Any], columns: list[str] | None = None) -> list[ParquetRow]:
    """The rows of Parquet files whose `column` is one of `values`; all columns unless `columns` names some."""
    rows: list[ParquetRow] = []
    for path in paths:
        schema = files.read_schema(path)
        check_schema(path, schema, [column, *(columns or ())])
        value_set = pa.array(values, schema.field(column).type)
        present = columns and [name for name in columns if name in schema.names]
        for group in files.row_groups(path):
            hits = pc.is_in(group([column]).column(column), value_set=value_set)
            if pc.any(hits).as_py():
                table = group(present).filter(hits)
                check_values(path, table)
                rows += table.to_pylist()
    return rows


def stories(corpus: CorpusFolder, keys: Sequence[str]) -> list[Story]:
    """The stories of these dedup keys, in their order. A key that the corpus does not hold has an empty story."""
    links = {row["dedup_key"]: row for row in rows_where(corpus.paths("links", "links"), "dedup_key", keys, Link.SCHEMA.names)}
    pages = {row["dedup_key"]: row for row in rows_where(corpus.paths("pages", "pages"), "dedup_key", keys, Page.SCHEMA.names)}
    columns = [name for name in Document.SCHEMA.names if name != "text"]
    documents = rows_where(corpus.paths("documents", "documents"), "dedup_key", keys, columns)
    urls = {row["url"]: row["dedup_key"] for row in [*links.values(), *pages.values(), *documents]}
    drops = [
        row for stage in URL_STAGES for row in rows_where(corpus.paths(stage, "drops"), "item", list(urls), Drop.SCHEMA.names)
    ]
    removed = rows_where(corpus.paths("dedup", "duplicates"), "url", list(urls), Duplicate.SCHEMA.names)
    kept = rows_where(corpus.paths("dedup", "duplicates"), "kept_url", list(urls), Duplicate.SCHEMA.names)
    removed_urls = {row["url"] for row in removed}
    spans = spans_of_documents(corpus, {row["document_id"] for row in documents if row["url"] not in removed_urls})

    def rows_of(rows: Iterable[ParquetRow], column: str, key: str) -> tuple[ParquetRow, ...]:
        return tuple(row for row in rows if urls.get(row[column]) == key)

    def spans_of(documents: Iterable[ParquetRow]) -> tuple[TokenSpan, ...]:
        ids = {row["document_id"] for row in documents if row["url"] not in removed_urls}
        return tuple(span for span in spans if span.document_id in ids)

    return [
        Story(
            key,
            links.get(key),
            pages.get(key),
            own_documents := rows_of(documents, "url", key),
            rows_of(drops, "item", key),
            rows_of(removed, "url", key),
            rows_of(kept, "kept_url", key),
            spans_of(own_documents),
        )
        for key in keys
    ]


def key_of(url: str) -> str:
    """The dedup key of an address that a person typed. Raises InputError if it is not an address."""
    try:
        return dedup_key(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise InputError(f"{url}: not an address ({error})") from error


def key_or_none(url: str) -> str | None:
    """The dedup key of an address that a page names; None for what is no address."""
    try:
        return dedup_key(url)
    except ValueError:
        return None


def request_value(kind: str, text: str) -> str:
    """A value of a take-down request that a person typed, as it is compared. Raises InputError for none of that kind."""
    if kind == URL:
        return key_of(text)
    if kind == DOCUMENT:
        return parse_document_ids([text])[0].hex()
    if kind == SITE:
        try:
            return canonical_host(text)
        except ValueError as error:
            raise InputError(f"--sites {text}: not a host ({error})") from error
    return typed_value(kind, text, "--submission-ids")


def parse_document_ids(texts: Sequence[str]) -> list[bytes]:
    """Document ids from 32 hexadecimal digits each. Raises InputError for anything else."""
    for text in texts:
        if len(text) != 32 or set(text.lower()) - set("0123456789abcdef"):
            raise InputError(f"{text}: a document id has 32 hexadecimal digits")
    return [bytes.fromhex(text) for text in texts]


def keys_of_documents(corpus: CorpusFolder, ids: Sequence[bytes]) -> list[str]:
    """The dedup keys of the documents with these ids: several per id if several addresses have the text."""
    rows = rows_where(corpus.paths("documents", "documents"), "document_id", ids, ["dedup_key"])
    return sorted({row["dedup_key"] for row in rows})


def keys_of_submissions(corpus: CorpusFolder, ids: Sequence[str]) -> list[str]:
    """The dedup keys of the links that these submissions name. An id may have Reddit's prefix t3_."""
    found = keys_of_submissions_by_id(corpus.paths("links", "links"), {name.removeprefix("t3_") for name in ids})
    return sorted(set().union(*found.values()))


def keys_with_text(corpus: CorpusFolder, text: str, most: int) -> list[str]:
    """The dedup keys of the first `most` documents, in file order, whose text contains `text`; case is ignored."""
    keys: list[str] = []
    for path in corpus.paths("documents", "documents"):
        for batch in files.record_batches(path, ["dedup_key", "text"], rows=512):
            hits = pc.match_substring(batch.column("text"), text, ignore_case=True)
            keys += batch.column("dedup_key").filter(hits).to_pylist()
            if len(keys) >= most:
                return keys[:most]
    return keys


def text_of(corpus: CorpusFolder, document_id: bytes, url: str) -> str | None:
    """A document's text; None if the corpus does not hold the document."""
    rows = rows_where(corpus.paths("documents", "documents"), "document_id", [document_id], ["url", "text"])
    return next((str(row["text"]) for row in rows if row["url"] == url), None)

"""A small corpus in the stages' own formats: every number in it is chosen, so that the report's can be checked."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.stage_folder import close_stage, open_stage
from pipeline.engine.writer import PartWriter
from pipeline.records import Document, Drop, Duplicate, Link, Page, Record, Submission
from pipeline.storage.document_shards import KEEP_SCHEMA
from pipeline.storage.manifest import stage_input
from pipeline.urls import dedup_key
from tokenizer.shards import Header, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from tokenizer.shards import Manifest as TokenManifest

INSTANT = datetime(2017, 5, 1, tzinfo=UTC)
DOMAINS = ("news.bbc.co.uk", "www.nytimes.com", "blog.example.org", "127.0.0.1")
EOT = 299


@dataclass(frozen=True)
class Chosen:
    """The corpus' folder, and what was put in."""

    folder: Path
    links: list[Link]
    documents: list[Document]
    duplicates: list[Duplicate]
    tokens: list[list[int]]


def document_id(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def make_links(count: int) -> list[Link]:
    links = []
    for i in range(count):
        created = datetime(2012 + i % 5, 3, 1, tzinfo=UTC)
        submission = Submission(f"s{i}", ("science", "history", "books")[i % 3], 3 + i, created)
        url = f"https://{DOMAINS[i % 4]}/{i}"
        links.append(Link(url, dedup_key(url), DOMAINS[i % 4], 3 + i, created, (submission,)))
    return links


def make_page(link: Link, i: int) -> Page:
    warc = ("warc/pages.warc.gz", 100 * i, 100)
    kind = "text/html" if i % 5 else None
    at = (link.url, link.dedup_key, link.domain, link.karma, link.submitted_at, link.url)
    return Page(*at, INSTANT, 200, kind, "utf-8", *warc, 5000, bytes(32))


CONFIDENCES = (0.8, 0.9512, None, 0.42)


def make_document(link: Link, i: int) -> Document:
    text = " ".join(f"word{(i * 7 + k) % 90} <b>&amp;" for k in range(20 + 12 * i))
    language = ("en", "en", "en", "de")[i % 4]
    published = date(2010 + i % 6, 1, 1) if i % 2 else None
    at = (link.url, link.dedup_key, link.domain)
    return Document(
        document_id(text), *at, f"Title {i}", language, 0.9, link.karma, link.submitted_at, published, text, CONFIDENCES[i % 4]
    )


Fill = Callable[[PartWriter], None]


def stage(corpus: Path, name: str, inputs: tuple[str, ...], fill: Fill, dataset: Callable[[], Any] | None = None) -> None:
    folder = str(corpus / name)
    read = {other: stage_input(str(corpus / other), folder) for other in inputs}
    settings = {f"{name}_limit": 3} | ({"extractor": "blocks"} if name == "documents" else {})
    place = open_stage(name, folder, settings, read, replace=False)
    assert isinstance(place, PhaseFolder)
    receipt = run_part(place, lambda _part, writer: fill(writer), Part("00000-of-00001", None))
    close_stage(place, settings, read, [receipt], dataset=dataset() if dataset else None)


def table_of(kind: str, records: list[Any], items_in: int, reasons: dict[str, int], more: Fill = lambda _: None) -> Fill:
    """Publishes the records; those that came and are not among them were dropped for the reasons."""

    def fill(writer: PartWriter) -> None:
        writer.publish_table(kind, type(records[0]).table(records))
        writer.items_in, writer.items_out = items_in, len(records)
        for reason, items in reasons.items():
            for i in range(items):
                writer.drop(Drop(writer.phase.stage, f"item {i}", reason))
        more(writer)

    return fill


def extracted(writer: PartWriter) -> None:
    """Counts of the methods that gave the documents' texts."""
    writer.counters.update({"extracted_blocks": 25, "extracted_thorough": 6, "extracted_broad": 2, "extracted_stated": 1})


def keep_all_but(documents: list[Document], duplicates: list[Duplicate]) -> Fill:
    gone = {d.url for d in duplicates}

    def fill(writer: PartWriter) -> None:
        rows = [(i, d.document_id) for i, d in enumerate(documents) if d.url not in gone]
        columns = [pa.array([r for r, _ in rows], pa.int64()), pa.array([k for _, k in rows], pa.binary(16))]
        writer.publish_table("keep", pa.table(columns, schema=KEEP_SCHEMA))
        writer.publish_table("duplicates", Duplicate.table(duplicates))
        writer.items_in, writer.items_out = len(documents), len(rows)
        for duplicate in duplicates:
            writer.drop(Drop("dedup", duplicate.url, duplicate.reason))

    return fill


def token_shards(corpus: Path, rows: list[tuple[bytes, list[int]]], text_bytes: int) -> tuple[Fill, Callable[[], Any]]:
    tokens = np.concatenate([np.array([*ids, EOT], np.uint16) for _, ids in rows])
    offsets = np.cumsum([0, *(len(ids) + 1 for _, ids in rows)])
    raw = np.frombuffer(b"".join(key for key, _ in rows), np.uint8).reshape(-1, 16)
    header = Header("train", 0, 1, len(rows), len(tokens), "ab" * 32, EOT + 1, EOT)

    def fill(writer: PartWriter) -> None:
        def write(file: Any) -> None:
            shard = ShardWriter(file, header)
            shard.write(TokenBatch(tokens, offsets, raw))
            shard.close()

        writer.publish("tokens", len(rows), write, header.name)
        writer.items_in = writer.items_out = len(rows)

    def dataset() -> dict[str, Any]:
        path = corpus / "tokens" / header.name
        entry = ShardEntry(header.name, len(rows), len(tokens), path.stat().st_size, sha256_of(path))
        splits = {"train": SplitEntry(len(rows), len(tokens), text_bytes, (entry,))}
        return TokenManifest(str(corpus), "ab" * 32, EOT + 1, EOT, splits, {"train": 5.25}).section()

    return fill, dataset


def duplicate_of(removed: Document, kept: Document, similarity: float) -> Duplicate:
    cluster = kept.document_id
    reason = "near_duplicate" if similarity < 1 else "same_text"
    return Duplicate(removed.document_id, removed.url, kept.document_id, kept.url, cluster, reason, similarity)


def build(corpus: Path, count: int = 40) -> Chosen:
    links = make_links(count)
    fetched = links[: count - 6]
    documents: list[Record] = [make_document(link, i) for i, link in enumerate(fetched[: count - 10])]
    documents_ = [d for d in documents if isinstance(d, Document)]
    duplicates = [duplicate_of(documents_[9 - i], documents_[2], s) for i, s in enumerate((0.71, 0.88, 1.0))]
    gone = {d.url for d in duplicates}
    kept = [d for d in documents_ if d.url not in gone]
    tokens = [[(j * 3) % EOT for j in range(10 + 20 * i)] for i in range(len(kept))]
    fill, dataset = token_shards(corpus, list(zip([d.document_id for d in kept], tokens, strict=True)), 100_000)
    stage(corpus, "links", (), table_of("links", links, count + 30, {"low_karma": 20, "self_post": 10}))
    pages = [make_page(link, i) for i, link in enumerate(fetched)]
    stage(corpus, "pages", ("links",), table_of("pages", pages, count, {"timeout": 4, "not_found": 2}))
    stage(corpus, "documents", ("pages",), table_of("documents", documents_, count - 6, {"too_short": 4}, extracted))
    stage(corpus, "dedup", ("documents",), keep_all_but(documents_, duplicates))
    stage(corpus, "tokens", ("dedup",), fill, dataset)
    return Chosen(corpus, links, documents_, duplicates, tokens)


@pytest.fixture(scope="session")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    """One corpus for all tests that only read."""
    return build(tmp_path_factory.mktemp("chosen") / "corpus")

"""Documents folders for tests, and the output of deduplication as lists."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.dedup.settings import DedupSettings
from pipeline.dedup.stage import STAGE
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Books, FileEntry, StageManifest

EPOCH = datetime(2017, 1, 1, tzinfo=UTC)
PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
    "belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope."
)
OTHER = (
    "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and nothing particular to "
    "interest me on shore, I thought I would sail about a little and see the watery part of the world."
)


def document(text: str, url: str, *, day: int | None = 0, karma: int = 3) -> Document:
    return Document(
        document_id=hashlib.blake2b(text.encode(), digest_size=16).digest(),
        url=url,
        dedup_key=url,
        domain="example.com",
        title=None,
        language="en",
        language_confidence=0.9,
        karma=karma,
        submitted_at=None if day is None else EPOCH + timedelta(days=day),
        published=None,
        text=text,
    )


def write_documents(folder: Path, shards: Sequence[Sequence[Document]]) -> Path:
    entries = []
    for i, shard in enumerate(shards):
        name = f"documents-{i:05d}-of-{len(shards):05d}.parquet"
        digest = files.publish_table(str(folder / name), Document.table(shard))
        entries.append(FileEntry(name, "documents", len(shard), digest.bytes, digest.sha256))
    total = sum(map(len, shards))
    counters = {"text_bytes": sum(len(d.text.encode()) for shard in shards for d in shard)}
    StageManifest("documents", {}, {}, tuple(entries), Books(total, total), counters).save(str(folder))
    return folder


def dedup(documents: Path, output: Path, settings: DedupSettings | None = None, engine: Engine | None = None) -> StageManifest:
    return STAGE.run(Call({"documents": str(documents)}, str(output), settings or DedupSettings(), engine or Engine()))


def kept_urls(folder: Path) -> list[str]:
    batches = [b for shard in document_shards(str(folder)) for b in shard.batches(["url"])]
    return [url for batch in batches for url in batch.column("url").to_pylist()]


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    entries = StageManifest.load(str(folder)).of_kind(kind)
    return [row for entry in entries for row in files.read_table(str(folder / entry.name)).to_pylist()]

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline import files
from pipeline.dedup import DedupSettings
from pipeline.engine import Engine
from pipeline.jobs.dedup import STAGE
from pipeline.manifest import Books, FileEntry, Manifest
from pipeline.records import Document
from pipeline.stage import Call
from pipeline.views import document_shards, text_bytes

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
    counted = {"text_bytes": sum(len(d.text.encode()) for shard in shards for d in shard)}
    Manifest("documents", {}, {}, tuple(entries), Books(total, total), counted).save(str(folder))
    return folder


def dedup(documents: Path, output: Path, settings: DedupSettings | None = None, engine: Engine | None = None) -> Manifest:
    return STAGE.run(Call({"documents": str(documents)}, str(output), settings or DedupSettings(), engine or Engine()))


def kept_urls(folder: Path) -> list[str]:
    batches = [b for shard in document_shards(str(folder)) for b in shard.batches(["url"])]
    return [url for batch in batches for url in batch.column("url").to_pylist()]


def rows(folder: Path, kind: str) -> list[dict[str, object]]:
    entries = Manifest.load(str(folder)).of_kind(kind)
    return pa.concat_tables([files.read_table(str(folder / e.name)) for e in entries]).to_pylist()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """One of each: a first text, its copy, the same words, an edit of it, the same address, something else."""
    near = PROSE.replace("spring of hope", "winter of despair")
    return write_documents(
        tmp_path / "documents",
        [
            [document(PROSE, "a", day=5), document(PROSE, "b", day=2), document(PROSE.upper(), "c", day=9)],
            [],
            [document(near, "d", day=7), document(OTHER, "e", day=1), document(OTHER + " Again and again.", "e", day=3)],
        ],
    )


def test_each_rule_names_its_removals(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert kept_urls(tmp_path / "dedup") == ["b", "e"]
    dropped = {"same_url": 1, "same_text": 1, "same_normalised_text": 1, "near_duplicate": 1}
    assert manifest.books == Books(6, 2, dropped)
    assert text_bytes(manifest) == len(PROSE.encode()) + len(OTHER.encode())
    found = {(row["url"], row["reason"]): (row["kept_url"], row["similarity"]) for row in rows(tmp_path / "dedup", "duplicates")}
    assert found["a", "same_text"] == ("b", 1.0)
    assert found["c", "same_normalised_text"] == ("b", 1.0)
    kept, similarity = found["d", "near_duplicate"]
    assert kept == "b"
    assert 0.7 <= similarity < 1.0
    kept, similarity = found["e", "same_url"]
    assert kept == "e"
    assert 0.8 < similarity < 1.0
    assert [r["item"] for r in rows(tmp_path / "dedup", "drops")] == ["a", "c", "d", "e"]


def test_keep_lists_stand_beside_the_document_shards(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert [e.name for e in manifest.of_kind("keep")] == [f"keep-0000{i}-of-00003.parquet" for i in range(3)]
    assert [e.rows for e in manifest.of_kind("keep")] == [1, 0, 1]
    assert not (tmp_path / "dedup" / ".work").exists()

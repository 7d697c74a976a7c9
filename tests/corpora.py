"""Texts, and folders of documents for the stages that read them."""

import hashlib
import pydoc_data.topics
from collections.abc import Sequence
from pathlib import Path

from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest

TOPICS = sorted(set(pydoc_data.topics.topics.values()))
"""The topics of Python's own documentation."""


def document_id(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def documents_folder(folder: Path, texts: Sequence[str], shards: int = 3) -> str:
    """A finished documents folder of the texts; text i is in shard `i % shards`."""
    entries = []
    for shard in range(shards):
        name = f"documents-{shard:05d}-of-{shards:05d}.parquet"
        table = Document.table(_document(text) for text in texts[shard::shards])
        digest = files.publish_table(str(folder / name), table)
        entries.append(FileEntry(name, "documents", table.num_rows, digest.bytes, digest.sha256))
    counters = {"text_bytes": sum(len(text.encode()) for text in texts)}
    StageManifest("documents", {}, {}, tuple(entries), Books(len(texts), len(texts)), counters).save(str(folder))
    return str(folder)


def _document(text: str) -> Document:
    return Document(document_id(text), "https://a.example/", "a.example", "a.example", None, "en", None, 3, None, None, text)

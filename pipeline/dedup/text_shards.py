"""Texts with ids of any kind as document shards: the files that the transform `Deduplicate` spills, and the ids in them."""

import hashlib
from collections.abc import Iterator
from typing import TypeAlias

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.engine.parts import PhaseFolder
from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard

TextId: TypeAlias = str | bytes

SHARD_CHARACTERS = 1 << 25
"""A shard is written once it has this many characters of text, or when the bundle ends."""
SPILL_SCHEMA = pa.schema(
    [Document.SCHEMA.field(name) for name in ("document_id", "url", "dedup_key", "karma", "submitted_at", "text")]
)
"""The columns of a document that deduplication reads. `url` and `dedup_key` hold the encoded id."""
_MARK = "\0"


def encode_id(key: TextId) -> str:
    """A string that stands for the id alone: a str id itself, or a marked one.

    >>> encode_id("a"), encode_id(b"a")
    ('a', '\\x00b61')
    """
    if isinstance(key, bytes):
        return f"{_MARK}b{key.hex()}"
    if not isinstance(key, str):
        raise TypeError(f"{key!r}: an id is a str or bytes, not {type(key).__name__}")
    return f"{_MARK}s{key}" if key.startswith(_MARK) else key


def decode_id(code: str) -> TextId:
    """The id that `encode_id` encoded."""
    if not code.startswith(_MARK):
        return code
    return bytes.fromhex(code[2:]) if code[1] == "b" else code[2:]


def spill_texts(folder: str, ids: list[str], texts: list[str]) -> DocumentShard:
    """Write texts and their encoded ids to a new shard in the folder; its name is a hash of the ids."""
    hashes = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    table = pa.table([hashes, ids, ids, [0] * len(ids), pa.nulls(len(ids)), texts], schema=SPILL_SCHEMA)
    name = hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()
    path = files.join(folder, f"texts-{name}.parquet")
    files.publish_table(path, table, kept=False)
    return DocumentShard(path, None, len(ids))


class SpillTexts(beam.DoFn):
    """Writes (id, text) pairs to document shards, at least one per bundle, so that no text goes through a shuffle."""

    def __init__(self, phase: PhaseFolder) -> None:
        self._phase = phase
        self._count = Metrics.counter(phase.stage, "in")

    def start_bundle(self) -> None:
        """Begin with no text."""
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._characters = 0

    def process(self, element: tuple[TextId, str]) -> Iterator[DocumentShard]:
        """A shard once enough texts are there."""
        key, text = element
        self._ids.append(encode_id(key))
        self._texts.append(text)
        self._characters += len(text)
        self._count.inc()
        if self._characters >= SHARD_CHARACTERS:
            yield self._spill()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The shard of the last texts."""
        if self._ids:
            yield GlobalWindows.windowed_value(self._spill())

    def _spill(self) -> DocumentShard:
        shard = spill_texts(self._phase.sibling("texts").work_folder, self._ids, self._texts)
        self.start_bundle()
        return shard

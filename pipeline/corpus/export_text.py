"""Writes the documents of a corpus as Parquet, JSON lines or plain text, one file per document shard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard
from tokenizer.paper import END_OF_TEXT

COLUMNS = tuple(Document.SCHEMA.names)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export: name relative to its folder, rows (documents or tokens), bytes, sha256 (hex)."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A format of documents: the name of a shard's file, from its number and the number of shards, and its writer."""

    name: Callable[[int, int], str]
    write: Callable[[DocumentShard, IO[bytes]], None]


def write_parquet(shard: DocumentShard, file: IO[bytes]) -> None:
    """Every column of the kept documents, with zstd, in row groups that a reader can skip."""
    schema = Document.SCHEMA
    options = {"compression": "zstd", "write_batch_size": files.PARQUET_ROWS_PER_CHECK}
    with pq.ParquetWriter(file, schema, **options) as writer:
        for batch in shard.batches(list(COLUMNS)):
            writer.write_batch(batch.cast(schema), row_group_size=files.PARQUET_ROWS_PER_GROUP)


def write_json_lines(shard: DocumentShard, file: IO[bytes]) -> None:
    """One JSON object per document with every column, compressed with zstd. `document_id` is hexadecimal, times are RFC 3339."""
    with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as stream:
        for batch in shard.batches(list(COLUMNS)):
            lines = [orjson.dumps(row, default=_hexadecimal, option=orjson.OPT_APPEND_NEWLINE) for row in batch.to_pylist()]
            stream.write(b"".join(lines))


def write_plain_text(shard: DocumentShard, file: IO[bytes]) -> None:
    """The texts in UTF-8, each followed by a line with the end of text."""
    end = f"\n{END_OF_TEXT}\n".encode()
    for batch in shard.batches(["text"]):
        file.write(b"".join(text.encode() + end for text in batch.column("text").to_pylist()))


def export_documents(
    format_name: str, shards: Sequence[DocumentShard], folder: str, advance: Callable[[int], object] = lambda _: None
) -> list[ExportedFile]:
    """Write each shard in a text format to `folder`; an empty shard gives no file. `advance` is told the documents of each file."""
    chosen = TEXT_FORMATS[format_name]
    shards = [shard for shard in shards if shard.rows]
    exported = []
    for number, shard in enumerate(shards):
        name = chosen.name(number, len(shards))
        with files.publishing(files.join(folder, *name.split("/"))) as file:
            chosen.write(shard, file)  # type: ignore[arg-type]  # a raw stream has every method that the writers call
        digest = file.digest()
        exported.append(ExportedFile(name, shard.rows, digest.bytes, digest.sha256))
        advance(shard.rows)
    return exported


def dataset_card(title: str, documents: int, columns: Sequence[str] = COLUMNS, kind: str = "unique documents") -> bytes:
    """README.md of a folder in the layout of Hugging Face's hub, so that `load_dataset(FOLDER)` reads it."""
    configs = '[{"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}]'
    return (
        f"---\npretty_name: {orjson.dumps(title).decode()}\nconfigs: {configs}\n---\n\n# {title}\n\n"
        f"{documents:,} {kind}. Columns: {', '.join(f'`{name}`' for name in columns)}.\n\n"
        '```python\nfrom datasets import load_dataset\n\ndocuments = load_dataset("FOLDER", split="train")\n```\n'
    ).encode()


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


def _numbered(suffix: str, folder: str = "") -> Callable[[int, int], str]:
    return lambda number, shards: f"{folder}documents-{number:05d}-of-{shards:05d}{suffix}"


TEXT_FORMATS = {
    "parquet": TextFormat(_numbered(".parquet"), write_parquet),
    "jsonl.zst": TextFormat(_numbered(".jsonl.zst"), write_json_lines),
    "txt": TextFormat(_numbered(".txt"), write_plain_text),
    "hf": TextFormat(lambda number, shards: f"data/train-{number:05d}-of-{shards:05d}.parquet", write_parquet),
}
"""The formats of documents. `hf` is Parquet in the layout of Hugging Face's hub, with a README.md."""

"""The texts of evaluation files as they are published: JSON, JSON lines, tables, XML, SGML or plain text, also packed or compressed.

What a file holds is decided by its first bytes, then by its name. What cannot be read as text is refused: a set that is read as
something else would seem to be absent from the corpus.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import files
from tokenizer.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_TAG = re.compile(r"<[^>]*>")
_COMPRESSED_ENDS: Final = (".gz", ".gzip", ".zst", ".zstd", ".xz", ".bz2", ".lzma")
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_NO_EXAMPLES: Final = ("__MACOSX/", ".DS_Store")
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_FAILURES: Final = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, tarfile.TarError,
                    pa.ArrowException, NotImplementedError, RuntimeError)  # fmt: skip
"""What libraries raise for a damaged or encrypted file."""


def _decompress_zstd(data: bytes) -> bytes:
    return zstd.decompress(data, options={zstd.DecompressionParameter.window_log_max: 31})


_DECOMPRESS: Final[dict[bytes, Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": gzip.decompress,
    b"\x28\xb5\x2f\xfd": _decompress_zstd,
    b"\xfd7zXZ\x00": lzma.decompress,
    b"BZh": bz2.decompress,
}


def set_name(path: str) -> str:
    """The name of a set: that of its file, without the ends that say how it is packed.

    >>> set_name("evals/ptb.txt"), set_name("evals/squad.v2.jsonl.gz")
    ('ptb', 'squad.v2')
    """
    return PurePosixPath(_uncompressed(PurePosixPath(path).name)).stem


def read_examples(path: str) -> Iterator[str]:
    """One text per record (all its strings, a line each), else the whole file, without XML or SGML tags.

    Raises InputError for a file that is damaged or no text, naming the line that is not JSON in a .json or .jsonl file.
    """
    yield from _examples(path, PurePosixPath(path).name.lower(), files.read_bytes(path))


def _examples(path: str, name: str, data: bytes) -> Iterator[str]:
    """The texts of a file, or of a member of an archive; `path` is what errors call it."""
    try:
        for magic, decompress in _DECOMPRESS.items():
            if data.startswith(magic):
                yield from _examples(path, _uncompressed(name), decompress(data))
                return
        if data.startswith(b"PK\x03\x04"):
            members = _zip_members(data)
        elif data[257:262] == b"ustar":
            members = _tar_members(data)
        elif data.startswith(b"PAR1"):
            yield from map(_record, pq.read_table(pa.BufferReader(data)).to_pylist())
            return
        else:
            yield from _text_examples(path, name, _text(path, data))
            return
        for member, content in members:
            yield from _examples(f"{path}, {member}", member.lower(), content)
    except InputError:
        raise
    except _FAILURES as error:
        raise InputError(f"{path}: cannot be read ({error or type(error).__name__}); give the file as it is published") from error


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if not member.is_dir() and not any(part in member.filename for part in _NO_EXAMPLES):
                yield member.filename, archive.read(member)


def _tar_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None and not any(part in member.name for part in _NO_EXAMPLES):
                yield member.name, file.read()


def _text(path: str, data: bytes) -> str:
    """The text of bytes in UTF-8, in UTF-16 with a byte order mark, or in windows-1252. Raises InputError for bytes that no text has."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if found := _BINARY.search(data):
        raise InputError(f"{path}: neither text nor a kind of file that is read here (byte {found.start()}); convert it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _text_examples(path: str, name: str, text: str) -> Iterator[str]:
    end = PurePosixPath(name).suffix
    if end in (".jsonl", ".ndjson") or (end not in (".json", ".txt") and _is_json_lines(text)):
        yield from _json_lines(path, text)
    elif end == ".json":
        yield from _json(path, text)
    elif end in _TABLES:
        yield from ("\n".join(row) for row in csv.reader(io.StringIO(text), delimiter=_TABLES[end]))
    else:
        yield _TAG.sub(" ", text) if end in (".xml", ".sgm", ".sgml", ".html") else text


def _is_json_lines(text: str) -> bool:
    """Whether the first line is a JSON object: the file's name says nothing."""
    line = text.lstrip().partition("\n")[0]
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _json(path: str, text: str) -> Iterator[str]:
    """A text per item of a list, or one of all; some files of this name hold JSON lines."""
    try:
        value = json.loads(text)
    except ValueError:
        if not _is_json_lines(text):
            _parse(path, 1, text)
        yield from _json_lines(path, text)
        return
    yield from map(_record, value if isinstance(value, list) else [value])


def _json_lines(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _record(_parse(path, number, line))


def _parse(path: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: not JSON ({error}); give the file as it is published") from error


def _record(value: Any) -> str:
    return "\n".join(_strings(value))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _uncompressed(name: str) -> str:
    end = PurePosixPath(name).suffix
    return name[: -len(end)] if end.lower() in _COMPRESSED_ENDS else name

"""A journal of finished links inside a part. Complete entries survive a crash; an incomplete last one is cut off.

An entry is a JSON head and a blob, framed by their lengths and a CRC-32 of both. In an object store a journal is published in
pieces.
"""

import os
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import orjson

from pipeline.redaction import redact
from pipeline.storage import files
from tokenizer.errors import InputError
from tokenizer.untrusted import check_file

PIECE_SECONDS = 30.0
PIECE_BYTES = 64 << 20
_PIECE = 1 << 20
_FRAME = struct.Struct("<III")
MAX_HEAD_BYTES = 16 << 20
"""Largest head of an entry: addresses, and not more of them than a chain of redirects has."""


class Journal:
    """An append-only file, safe to share between threads.

    `entries` maps the "key" of a head to (offset, head size, blob size). `path` is for messages.
    """

    def __init__(self, descriptor: int, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor = descriptor
        self.entries: dict[str, tuple[int, int, int]] = {}
        self._end = 0
        for head, place in self._scan():
            self.entries[head["key"]] = place
        os.ftruncate(self._descriptor, self._end)

    @classmethod
    def at(cls, path: str) -> "Journal":
        """The journal at a path of any file system; a new one where there is none.

        Raises InputError for what is no journal: another kind of file, a link, or whole entries of another content.
        """
        if not files.is_local(path):
            return PublishedJournal(path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            check_file(*os.path.split(path))
        except ValueError as error:
            raise InputError(f"{path}: not a journal ({error}); remove it to fetch its links again") from error
        return cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), path)

    def append(self, head: dict[str, Any], blob: bytes = b"") -> None:
        """Write one entry. Raises RuntimeError where its key has one already: a link was fetched twice."""
        data = orjson.dumps(head)
        frame = _FRAME.pack(len(data), len(blob), zlib.crc32(blob, zlib.crc32(data)))
        with self._lock:
            if head["key"] in self.entries:
                raise RuntimeError(f"{redact(head['key'])}: done twice")
            _write_all(self._descriptor, frame + data + blob, self._end)
            self.entries[head["key"]] = (self._end + _FRAME.size, len(data), len(blob))
            self._end += _FRAME.size + len(data) + len(blob)

    def head(self, key: str) -> dict[str, Any]:
        """The head of an entry."""
        start, size, _ = self.entries[key]
        head: dict[str, Any] = orjson.loads(os.pread(self._descriptor, size, start))
        return head

    def blob(self, key: str) -> bytes:
        """The blob of an entry."""
        start, size, blob_size = self.entries[key]
        return os.pread(self._descriptor, blob_size, start + size)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scan(self) -> Iterator[tuple[dict[str, Any], tuple[int, int, int]]]:
        """The complete entries from the start; `_end` is the offset where they end."""
        size = os.fstat(self._descriptor).st_size
        while self._end + _FRAME.size <= size:
            head_size, blob_size, checksum = _FRAME.unpack(os.pread(self._descriptor, _FRAME.size, self._end))
            start = self._end + _FRAME.size
            end = start + head_size + blob_size
            if head_size > MAX_HEAD_BYTES or end > size:
                return
            data = os.pread(self._descriptor, head_size, start)
            if self._checksum(zlib.crc32(data), start + head_size, end) != checksum:
                return
            yield self._parsed(data), (start, head_size, blob_size)
            self._end = end

    def _checksum(self, checksum: int, start: int, end: int) -> int:
        """The CRC-32 continued over a range of the file, of which only a piece is in memory."""
        while start < end and (piece := os.pread(self._descriptor, min(end - start, _PIECE), start)):
            checksum = zlib.crc32(piece, checksum)
            start += len(piece)
        return checksum

    def _parsed(self, data: bytes) -> dict[str, Any]:
        try:
            head = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise self._no_journal(f"a head is not JSON: {error}") from error
        if not isinstance(head, dict) or not isinstance(head.get("key"), str):
            raise self._no_journal("a head without a key")
        return head

    def _no_journal(self, fault: str) -> InputError:
        return InputError(f"{self.path}: not a journal ({fault}); remove it to fetch its links again")


class PublishedJournal(Journal):
    """A journal in an object store, which cannot append: a local scratch file, published in pieces of complete entries.

    A worker that dies loses what it fetched since the last piece.
    """

    def __init__(self, path: str) -> None:
        descriptor, scratch = tempfile.mkstemp(prefix="webtext-journal-")
        Path(scratch).unlink()  # no file is left behind, however this process ends
        folder, name = path.rsplit("/", 1)
        pieces = [piece for piece in files.listing(folder, f"{name}.") if piece.endswith(".piece")]
        for piece in pieces:
            _write_all(descriptor, files.read_bytes(piece), os.fstat(descriptor).st_size)
        super().__init__(descriptor, path)
        self._pieces = len(pieces)
        self._published = self._end
        self._due = time.monotonic() + PIECE_SECONDS
        self._publishing = threading.Lock()

    def append(self, head: dict[str, Any], blob: bytes = b"") -> None:
        """Write one entry; publish a piece when one is due."""
        super().append(head, blob)
        if time.monotonic() >= self._due or self._end - self._published >= PIECE_BYTES:
            self._publish()

    def close(self) -> None:
        """Publish the remaining entries and close the scratch file."""
        try:
            self._publish()
        finally:
            super().close()

    def _publish(self) -> None:
        """Publish the entries since the last piece. One thread does so while the others go on appending."""
        if not self._publishing.acquire(blocking=False):
            return
        try:
            with self._lock:
                end = self._end
            if end > self._published:
                data = os.pread(self._descriptor, end - self._published, self._published)
                files.publish_bytes(f"{self.path}.{self._pieces:05d}.piece", data)
                self._pieces += 1
                self._published = end
            self._due = time.monotonic() + PIECE_SECONDS
        finally:
            self._publishing.release()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written

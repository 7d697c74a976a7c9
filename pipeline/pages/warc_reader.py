"""Reading of WARC files and records, ours and others'. It needs no HTTP client.

Files may be plain or gzipped record by record; records of WARC 1.0 and 1.1 are read.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO

from pipeline.pages.decoding import GZIP_WINDOW, codings, decode
from pipeline.pages.http_response import HttpResponse
from pipeline.storage import files

__all__ = ["WarcError", "WarcRecord", "http_response", "http_status", "parse_record", "read_body", "read_record", "read_records"]

MAX_RECORD_BYTES = 256 << 20
READ_BYTES = 1 << 18
_FOLD = re.compile(rb"\r?\n[ \t]+")


class WarcError(ValueError):
    """A WARC file or record is damaged, or the data is not WARC."""


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A record: `length` bytes at `offset` of its file, compressed where the file is gzipped. Header names are in lower case."""

    offset: int
    length: int
    headers: dict[str, str]
    block: bytes

    @property
    def kind(self) -> str:
        """The record's type: response, request, metadata, warcinfo …"""
        return self.headers.get("warc-type", "")

    @property
    def url(self) -> str:
        """The target URI, without the angle brackets that some writers put around it."""
        return self.headers.get("warc-target-uri", "").strip("<>")

    @property
    def date(self) -> datetime:
        """The time of capture. Raises WarcError where it cannot be read."""
        try:
            return datetime.fromisoformat(self.headers.get("warc-date", "")).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise WarcError(f"WARC-Date: {error}") from error


def read_body(path: str, offset: int, length: int) -> bytes:
    """The body of the HTTP response in the record at `offset`, decoded. Raises WarcError where the record holds none."""
    return http_response(read_record(path, offset, length)).body


def read_record(path: str, offset: int, length: int) -> WarcRecord:
    """The record at `offset`, `length` bytes of the file. Raises WarcError."""
    with files.open_input(path) as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) < length:
        raise WarcError(f"{path}: ends before the record at {offset} does")
    return parse_record(gunzip_member(data), offset, length)


def gunzip_member(data: bytes) -> bytes:
    """The content of one gzip member; data that is not gzip is returned unchanged. Raises WarcError."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    engine = zlib.decompressobj(GZIP_WINDOW)
    try:
        record = engine.decompress(data, MAX_RECORD_BYTES)
    except zlib.error as error:
        raise WarcError(f"damaged gzip member: {error}") from error
    if not engine.eof:
        raise WarcError("gzip member ends early, or holds more than 256 MiB")
    return record


def parse_record(data: bytes, offset: int, length: int) -> WarcRecord:
    """The record in uncompressed `data`, which stands at `offset` of its file in `length` bytes. Raises WarcError."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark or not head.startswith(b"WARC/"):
        raise WarcError(f"no WARC record at byte {offset}")
    headers = _header_lines(head)
    size = _content_length(headers, offset)
    if size > len(rest):
        raise WarcError(f"record at byte {offset}: Content-Length {size}, {len(rest)} bytes there")
    if rest[size:].strip(b"\r\n"):
        raise WarcError(f"several records in one gzip member at byte {offset}: recompress the file record by record")
    return WarcRecord(offset, length, headers, rest[:size])


def _content_length(headers: dict[str, str], offset: int) -> int:
    """Size of a record's block in bytes. Raises WarcError where it is not a number, or too large to allocate."""
    size = headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,18}", size):
        raise WarcError(f"record at byte {offset}: Content-Length {size[:40]!r}")
    if int(size) > MAX_RECORD_BYTES:
        raise WarcError(f"record at byte {offset}: Content-Length {size}, more than 256 MiB")
    return int(size)


def _header_lines(head: bytes) -> dict[str, str]:
    lines = _FOLD.sub(b" ", head).decode("utf-8", "replace").splitlines()[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def http_status(record: WarcRecord) -> int:
    """Status code of the HTTP response in a record. Raises WarcError."""
    return _status_line(record)[0]


def http_response(record: WarcRecord) -> HttpResponse:
    """The HTTP response in a record, its body decoded. Raises WarcError, and the errors of `decoding.decode`."""
    status, phrase = _status_line(record)
    head, mark, body = record.block.partition(b"\r\n\r\n")
    if not mark:
        raise WarcError(f"record at byte {record.offset}: no end of the HTTP headers")
    unfolded = _FOLD.sub(b" ", head.partition(b"\n")[2]).decode("latin-1")
    pairs = (line.partition(":") for line in unfolded.splitlines())
    headers = tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon)
    response = HttpResponse(record.url, status, phrase, headers, b"", ())
    if response.header("transfer-encoding").lower() == "chunked":
        body = _dechunked(body)
    coding = response.header("content-encoding")
    if not codings(coding):
        return replace(response, body=body)
    return replace(response, body=b"".join(decode([body], coding, MAX_RECORD_BYTES)), coded=body)


def _status_line(record: WarcRecord) -> tuple[int, str]:
    parts = record.block[:1024].partition(b"\n")[0].decode("latin-1").split(None, 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not re.fullmatch("[0-9]{3}", parts[1]):
        raise WarcError(f"record at byte {record.offset}: no HTTP response")
    return int(parts[1]), parts[2].strip() if len(parts) > 2 else ""


def _dechunked(body: bytes) -> bytes:
    """The body of a chunked message. A body that is not chunked despite its header, as wget writes it, is returned unchanged."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = body.find(b"\r\n", at)
        size_text = body[at : max(line_end, at)].split(b";")[0].strip()
        if line_end < 0 or not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size_text):
            if at == 0:
                return body
            raise WarcError("damaged chunked body")
        size, start = int(size_text, 16), line_end + 2
        if size == 0:
            return b"".join(parts)
        if start + size > len(body):
            raise WarcError("chunked body ends early")
        parts.append(body[start : start + size])
        at = start + size + 2


def read_records(path: str) -> Iterator[WarcRecord]:
    """All records of a WARC file, in order. Raises WarcError on damage, a truncated end included."""
    with files.open_input(path) as file:
        start = file.read(2)
        file.seek(0)
        spans = _gzip_spans(file) if start == b"\x1f\x8b" else _plain_spans(file)
        for offset, length, data in spans:
            yield parse_record(data, offset, length)


def _gzip_spans(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, content) of each gzip member of a file."""
    offset, data = 0, file.read(READ_BYTES)
    while data:
        engine, pieces, used, size = zlib.decompressobj(GZIP_WINDOW), [], 0, 0
        while not engine.eof:
            if not data:
                raise WarcError(f"the file ends inside the record at byte {offset}")
            try:
                pieces.append(engine.decompress(data, MAX_RECORD_BYTES - size + 1))
            except zlib.error as error:
                raise WarcError(f"damaged gzip member at byte {offset}: {error}") from error
            size += len(pieces[-1])
            if size > MAX_RECORD_BYTES:
                raise WarcError(f"the gzip member at byte {offset} holds more than 256 MiB: recompress the file record by record")
            used += len(data) - len(engine.unused_data)
            data = engine.unused_data or file.read(READ_BYTES)
        yield offset, used, b"".join(pieces)
        offset += used


def _plain_spans(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, content) of each record of an uncompressed file."""
    offset = 0
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline(READ_BYTES)
            if not line:
                if head.strip():
                    raise WarcError(f"the file ends inside the record at byte {offset}")
                return
            head += line if head or line.strip() else b""
            offset += 0 if head else len(line)
            if len(head) > READ_BYTES:
                raise WarcError(f"no WARC record at byte {offset}")
        size = _content_length(_header_lines(head), offset)
        block = file.read(size)
        if len(block) < size:
            raise WarcError(f"the file ends inside the record at byte {offset}")
        yield offset, len(head) + len(block), head + block
        offset += len(head) + len(block)

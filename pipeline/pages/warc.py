"""WARC 1.1 (ISO 28500:2017): pages as gzip members that any archive tool opens, written so that equal content gives equal bytes.

A body is stored as it was sent, in its content coding; only the transfer coding is undone, and the headers that spoke of it are kept
under X-Crawl- names. Credentials are not stored: neither cookies and authorisation headers nor the values of query parameters that look
like keys.
"""

import base64
import hashlib
import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import urlsplit

from pipeline.pages.answer import Answer
from pipeline.pages.decoding import codings, decoded
from pipeline.storage import files

VERSION = b"WARC/1.1"
GZIP_LEVEL = 4
"""On 97 real pages 5 % larger than zlib's default, for 56 % of its time."""
GZIP_WINDOW = 16 + zlib.MAX_WBITS
MAX_RECORD_BYTES = 256 << 20
READ_BYTES = 1 << 18
SECRET_HEADERS = frozenset(
    {"set-cookie", "set-cookie2", "cookie", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
     "authentication-info", "proxy-authentication-info"}
)  # fmt: skip
TRANSFER_HEADERS = frozenset({"content-length", "transfer-encoding"})
SECRET_PARAMETERS = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.\-]*(?:token|secret|passw(?:or)?d|api_?key|signature|credential)[a-z0-9_.\-]*|key|sig|auth|session|sid|pwd)=)[^&;#\s]*"
)
_USERINFO = re.compile(r"(?<=://)[^/?#\s@]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class WarcError(ValueError):
    """A WARC file or record that is damaged, or none."""


def redacted(text: str) -> str:
    """A URL, or any line with URLs in it, without passwords and keys.

    >>> redacted("https://me:pw@example.com/?api_key=abc&page=2")
    'https://example.com/?api_key=REDACTED&page=2'
    """
    return SECRET_PARAMETERS.sub(r"\1REDACTED", _USERINFO.sub("", text))


def info_member(file_name: str, date: datetime, fields: dict[str, str]) -> bytes:
    """The warcinfo record that opens a file."""
    block = _fields(fields.items())
    headers = [("WARC-Filename", file_name), ("Content-Type", "application/warc-fields")]
    return _member("warcinfo", date, block, headers)[0]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The gzip members of one request and its response; the response comes first, `response_length` bytes long."""

    members: bytes
    response_length: int
    response_id: str
    records: int


@dataclass(frozen=True, slots=True)
class Way:
    """The members of the redirects that led to a page."""

    members: bytes = b""
    records: int = 0

    def then(self, exchange: Exchange) -> "Way":
        """One redirect further."""
        return Way(self.members + exchange.members, self.records + exchange.records)


def exchange_members(answer: Answer, date: datetime) -> Exchange:
    """A response record and, where we asked ourselves, the request record."""
    uri = redacted(answer.url)
    block = response_block(answer)
    payload = [("WARC-Payload-Digest", _digest(answer.payload)), ("Content-Type", "application/http; msgtype=response")]
    level = GZIP_LEVEL if answer.coded is None else 0  # compressed already
    response, response_id = _member("response", date, block, [("WARC-Target-URI", uri), *payload], level)
    if not answer.request_headers:
        return Exchange(response, len(response), response_id, 1)
    link = [("WARC-Target-URI", uri), ("WARC-Concurrent-To", response_id)]
    request, _ = _member("request", date, _request_block(answer), [*link, ("Content-Type", "application/http; msgtype=request")])
    return Exchange(response + request, len(response), response_id, 2)


def metadata_member(url: str, date: datetime, about: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A metadata record about the record whose id is `about`."""
    link = [("WARC-Target-URI", redacted(url)), ("WARC-Concurrent-To", about), ("Content-Type", "application/warc-fields")]
    return _member("metadata", date, _fields(fields), link)[0]


def response_block(answer: Answer) -> bytes:
    """Status line, headers and body."""
    phrase = _CONTROL.sub(" ", answer.phrase)
    lines = [f"HTTP/1.1 {answer.status} {phrase}".rstrip()]
    for name, value in answer.headers:
        kind = name.lower()
        if kind in SECRET_HEADERS:
            continue
        shown = redacted(value) if kind in ("location", "refresh", "link", "content-location") else value
        lines.append(f"{'X-Crawl-' if kind in TRANSFER_HEADERS else ''}{name}: {_CONTROL.sub(' ', shown)}")
    lines.append(f"Content-Length: {len(answer.payload)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + answer.payload


def _request_block(answer: Answer) -> bytes:
    parts = urlsplit(redacted(answer.url))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [("Host", parts.netloc), *answer.request_headers]
    lines = [f"GET {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers if k.lower() not in SECRET_HEADERS)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {_CONTROL.sub(' ', value)}\r\n" for name, value in fields).encode()


def _member(
    kind: str, date: datetime, block: bytes, headers: Sequence[tuple[str, str]], level: int = GZIP_LEVEL
) -> tuple[bytes, str]:
    """The gzip member of a record, and the record's id: a name of its content."""
    stamp = date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = "".join(f"\r\n{name}: {value}" for name, value in [*headers, ("WARC-Block-Digest", _digest(block))])
    record_id = f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, kind + stamp + said)}>"
    head = f"\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {record_id}\r\nWARC-Date: {stamp}{said}\r\nContent-Length: {len(block)}\r\n\r\n"
    return compressed(b"".join([VERSION, head.encode(), block, b"\r\n\r\n"]), level), record_id


def compressed(record: bytes, level: int = GZIP_LEVEL) -> bytes:
    """One gzip member, without time or name in it."""
    engine = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW)
    return engine.compress(record) + engine.flush()


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in a file: `length` bytes (compressed, where the file is) at `offset`. Header names are in lower case."""

    offset: int
    length: int
    headers: dict[str, str]
    block: bytes

    @property
    def kind(self) -> str:
        """response, request, metadata, warcinfo …"""
        return self.headers.get("warc-type", "")

    @property
    def url(self) -> str:
        """The target; some writers put it in angle brackets."""
        return self.headers.get("warc-target-uri", "").strip("<>")

    @property
    def date(self) -> datetime:
        """When it was captured. Raises WarcError where that is unreadable."""
        try:
            return datetime.fromisoformat(self.headers.get("warc-date", "")).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise WarcError(f"WARC-Date: {error}") from error


def read_body(path: str, offset: int, length: int) -> bytes:
    """The body of the HTTP response in the record at `offset`, decoded. Raises WarcError where there is none."""
    return http_response(read_record(path, offset, length)).body


def read_record(path: str, offset: int, length: int) -> Record:
    """The record at `offset`, `length` bytes of the file. Raises WarcError."""
    with files.open_input(path) as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) < length:
        raise WarcError(f"{path}: ends before the record at {offset} does")
    return parse(gunzip_member(data), offset, length)


def gunzip_member(data: bytes) -> bytes:
    """What one gzip member holds; data that is no gzip as it is. Raises WarcError."""
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


def parse(data: bytes, offset: int, length: int) -> Record:
    """The record in uncompressed `data`. Raises WarcError."""
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark or not head.startswith(b"WARC/"):
        raise WarcError(f"no WARC record at byte {offset}")
    headers = _header_lines(head)
    size = _content_length(headers, offset)
    if size > len(rest):
        raise WarcError(f"record at byte {offset}: Content-Length {size}, {len(rest)} bytes there")
    if rest[size:].strip(b"\r\n"):
        raise WarcError(f"several records in one gzip member at byte {offset}: recompress the file record by record")
    return Record(offset, length, headers, rest[:size])


def _content_length(headers: dict[str, str], offset: int) -> int:
    """Of a record's block. Raises WarcError where it is no number, or one that no memory should be set aside for."""
    size = headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,18}", size):
        raise WarcError(f"record at byte {offset}: Content-Length {size[:40]!r}")
    if int(size) > MAX_RECORD_BYTES:
        raise WarcError(f"record at byte {offset}: Content-Length {size}, more than 256 MiB")
    return int(size)


def _header_lines(head: bytes) -> dict[str, str]:
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head).decode("utf-8", "replace").splitlines()[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def http_status(record: Record) -> int:
    """The status of the HTTP response in a record. Raises WarcError."""
    return _status_line(record)[0]


def http_response(record: Record) -> Answer:
    """The HTTP response in a record, its body decoded. Raises WarcError, and those of `decoding.decoded`."""
    status, phrase = _status_line(record)
    head, mark, body = record.block.partition(b"\r\n\r\n")
    if not mark:
        raise WarcError(f"record at byte {record.offset}: no end of the HTTP headers")
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", head.partition(b"\n")[2]).decode("latin-1")
    pairs = (line.partition(":") for line in unfolded.splitlines())
    headers = tuple((name.strip(), value.strip()) for name, colon, value in pairs if colon)
    answer = Answer(record.url, status, phrase, headers, b"", ())
    if answer.header("transfer-encoding").lower() == "chunked":
        body = _dechunked(body)
    coding = answer.header("content-encoding")
    if not codings(coding):
        return replace(answer, body=body)
    return replace(answer, body=b"".join(decoded([body], coding, MAX_RECORD_BYTES)), coded=body)


def _status_line(record: Record) -> tuple[int, str]:
    parts = record.block[:1024].partition(b"\n")[0].decode("latin-1").split(None, 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not re.fullmatch("[0-9]{3}", parts[1]):
        raise WarcError(f"record at byte {record.offset}: no HTTP response")
    return int(parts[1]), parts[2].strip() if len(parts) > 2 else ""


def _dechunked(body: bytes) -> bytes:
    """The body of a chunked message; one that is not chunked whatever its header says, as it is (wget and others write those)."""
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


def records(path: str) -> Iterator[Record]:
    """All records of a WARC file, gzipped record by record or plain. Raises WarcError on damage, a cut end included."""
    with files.open_input(path) as file:
        start = file.read(2)
        file.seek(0)
        spans = _gzip_spans(file) if start == b"\x1f\x8b" else _plain_spans(file)
        for offset, length, data in spans:
            yield parse(data, offset, length)


def _gzip_spans(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, content) of each gzip member."""
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
    """The same of a file that is not compressed."""
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

"""One record of a web archive: its header fields and its block, from the bytes that a WARC or ARC file holds for it."""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_RECORD_BYTES = 256 << 20
PADDING = b"\r\n\0"
"""Bytes that writers leave between records, or that a file system adds at the end."""
RECORD_START = re.compile(rb"(?:WARC/[0-9]\.[0-9]{1,2}|[A-Za-z][A-Za-z0-9+.-]*:[^\r\n]* [0-9]{12,14} [^\r\n]* [0-9]+)[ \t]*\r?\n")
"""First line of a record, in WARC or in ARC."""
_AFTER_BYTES = 1 << 12
HEAD_END = re.compile(rb"\r?\n\r?\n")
_BLANKS = " \t\r"
_FOLD = re.compile(rb"\r?\n[ \t]+")
_DATE = re.compile(
    r"(\d{4})(?:-?(\d\d)(?:-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?)?)?)?", re.IGNORECASE
)
_ARC_LINE = re.compile(
    rb"(?P<url>[A-Za-z][A-Za-z0-9+.-]*:.*) \S+ (?P<date>\d{12,14}) (?P<type>\S*)(?: .*)? (?P<length>\d+)[ \t]*"
)
_DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_EMPTY_PAYLOADS = frozenset(f"{name}:{hashlib.new(name, usedforsecurity=False).hexdigest()}" for name in _DIGEST_BYTES)


class WarcError(ValueError):
    """A WARC file or record is damaged, or the data is not WARC."""


class NotAnArchiveError(WarcError):
    """A file is of a kind that is not read, in place of damaged."""


class TruncatedRecordError(WarcError):
    """A record does not hold the whole of its response."""


class SeveralRecordsError(WarcError):
    """A gzip member or a zstd frame holds several records, or a part of one: none can be read by its offset."""


@dataclass(frozen=True, slots=True)
class WarcRecord:
    """A record: `length` bytes at `offset` of its file, compressed where the file is. Header names are in lower case.

    A record of an ARC file has the fields that a WARC record would have.
    """

    offset: int
    length: int
    headers: dict[str, str]
    block: bytes

    @property
    def kind(self) -> str:
        """The record's type: response, request, metadata, warcinfo …"""
        return self.headers.get("warc-type", "").lower()

    @property
    def url(self) -> str:
        """The target URI, without the angle brackets that some writers put around it."""
        return self.headers.get("warc-target-uri", "").strip("<>")

    @property
    def date(self) -> datetime:
        """The time of capture. Raises WarcError where it cannot be read."""
        return parse_date(self.headers.get("warc-date", ""))


def parse_date(text: str) -> datetime:
    """The instant of a WARC-Date, which may be as coarse as a year (ISO 28500:2017, 5.4), or of an ARC date. Raises WarcError.

    >>> parse_date("2016-05").isoformat(), parse_date("20160501123000").isoformat()
    ('2016-05-01T00:00:00+00:00', '2016-05-01T12:30:00+00:00')
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        raise WarcError(f"WARC-Date: {text[:40]!r} is not a date")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    shown = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    shown += f".{(fraction or '0')[:6].ljust(6, '0')}{(zone or 'Z').upper()}"
    try:
        return datetime.fromisoformat(shown).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise WarcError(f"WARC-Date: {error}") from error


def payload_digest(headers: dict[str, str]) -> str:
    """A record's WARC-Payload-Digest, by the name of its algorithm, in one spelling; empty where there is none, or none of a payload.

    Writers give the value in Base32 or in hexadecimal digits, in upper or lower case.

    >>> payload_digest({"warc-payload-digest": "SHA-1:B2LTWWPUOYAH7UIPQ7ZUPQ4VMBSVC36A"})
    'sha1:0e973b59f476007fd10f87f347c3956065516fc0'
    """
    algorithm, _, value = headers.get("warc-payload-digest", "").partition(":")
    name, value = algorithm.strip().lower().replace("-", ""), value.strip()
    size = _DIGEST_BYTES.get(name, 0)
    if re.fullmatch(f"[0-9A-Fa-f]{{{2 * size}}}", value):
        value = value.lower()
    elif size and re.fullmatch(f"[A-Za-z2-7]{{{-(-8 * size // 5)}}}=*", value):
        value = base64.b32decode(value.rstrip("=").upper().ljust(-(-size // 5) * 8, "=")).hex()
    return f"{name}:{value}" if value and f"{name}:{value}" not in _EMPTY_PAYLOADS else ""


def parse_record(data: bytes, offset: int, length: int) -> WarcRecord:
    """The record in uncompressed `data`, which takes `length` bytes at `offset` of its file. Raises WarcError."""
    data = data.lstrip(PADDING)
    if not data.startswith(b"WARC/"):
        return _parse_arc_record(data, offset, length)
    end = HEAD_END.search(data)
    if not end:
        raise WarcError(f"no WARC record at byte {offset}")
    return _with_block(_record_headers(data[: end.end()], offset), data[end.end() :], offset, length)


def record_size(head: bytes, offset: int) -> int:
    """Size in bytes of the block that follows a record's complete head. Raises WarcError."""
    return _content_length(_record_headers(head, offset), offset)


def _record_headers(head: bytes, offset: int) -> dict[str, str]:
    if head.startswith(b"WARC/"):
        return _warc_fields(head)
    match = _ARC_LINE.fullmatch(head.rstrip(b"\r\n"))
    if not match:
        raise WarcError(f"no WARC record at byte {offset}")
    url = match["url"].decode("utf-8", "replace")
    kind = "warcinfo" if url.lower().startswith("filedesc:") else "response"
    return {
        "warc-type": kind,
        "warc-target-uri": url,
        "warc-date": match["date"].decode(),
        "content-length": match["length"].decode(),
    }


def _parse_arc_record(data: bytes, offset: int, length: int) -> WarcRecord:
    line, _, block = data.partition(b"\n")
    return _with_block(_record_headers(line, offset), block, offset, length)


def _with_block(headers: dict[str, str], rest: bytes, offset: int, length: int) -> WarcRecord:
    size = _content_length(headers, offset)
    if size > len(rest):
        raise WarcError(f"record at byte {offset}: Content-Length {size}, {len(rest)} bytes there")
    if after := rest[size : size + _AFTER_BYTES].strip(PADDING) or rest[size:].strip(PADDING):
        if RECORD_START.match(after):
            raise SeveralRecordsError(
                f"several records in one gzip member or zstd frame at byte {offset}: recompress the file record by record"
            )
        raise WarcError(f"record at byte {offset}: its member goes on after its length, {size} bytes")
    return WarcRecord(offset, length, headers, rest[:size])


def _content_length(headers: dict[str, str], offset: int) -> int:
    """Size of a record's block in bytes. Raises WarcError where it is not a number, or too large to allocate."""
    size = headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,18}", size):
        raise WarcError(f"record at byte {offset}: Content-Length {size[:40]!r}")
    if int(size) > MAX_RECORD_BYTES:
        raise WarcError(f"record at byte {offset}: Content-Length {size}, more than 256 MiB")
    return int(size)


def _warc_fields(head: bytes) -> dict[str, str]:
    """The named fields of a WARC record, names in lower case; of repeated ones the last.

    They are UTF-8 and may be of any length and number, other than those of HTTP; a line without a colon is no field.
    """
    lines = _FOLD.sub(b" ", head).decode("utf-8", "replace").split("\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip(_BLANKS).lower(): value.strip(_BLANKS) for name, colon, value in pairs if colon}

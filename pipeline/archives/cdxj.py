"""CDXJ index files: a line per capture, `key timestamp {json}`; plain, or in blocks of gzip members with a cluster.idx (zipnum)."""

import base64
import binascii
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, NamedTuple

import orjson

from pipeline.archives.choose import microseconds
from pipeline.pages.decoding import GZIP_WINDOW
from pipeline.pages.warc_record import parse_date

READ_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 20
MAX_BLOCK_BYTES = 64 << 20
REVISIT_TYPES = frozenset({"warc/revisit"})


class BadIndexError(ValueError):
    """An index file is damaged, or is no index."""


class IndexRow(NamedTuple):
    """A capture as an index names it; `captured_at` in microseconds, `digest` the 20 bytes of a SHA-1 or empty."""

    key: str
    captured_at: int
    url: str
    status: int
    media_type: str
    digest: bytes
    warc: str
    offset: int
    length: int
    is_truncated: bool
    is_revisit: bool


def parse_line(line: bytes) -> IndexRow:
    """The capture of one line. Raises ValueError (also its subclasses of JSON and of dates) for a line that is none.

    The JSON's values may be text or numbers; `length` and `status` may be missing.
    """
    key, stamp, data = line.decode("utf-8", "replace").split(" ", 2)
    fields = orjson.loads(data)
    if not isinstance(fields, dict):
        raise BadIndexError("the third part of the line is no JSON object")
    media_type = str(fields.get("mime") or "")
    status = str(fields.get("status") or "")
    return IndexRow(
        key,
        microseconds(instant_of(stamp)),
        str(fields.get("url") or ""),
        int(status) if status.isascii() and status.isdigit() else 0,
        media_type,
        digest_bytes(str(fields.get("digest") or "")),
        str(fields["filename"]) if fields.get("filename") else "",
        int(fields.get("offset") or 0),
        int(fields.get("length") or 0),
        bool(fields.get("truncated")),
        media_type in REVISIT_TYPES,
    )


def instant_of(stamp: str) -> datetime:
    """The instant of 14 digits, or fewer: a missing month or day is 01. Raises ValueError.

    >>> instant_of("20130609034215").isoformat(), instant_of("2013").isoformat()
    ('2013-06-09T03:42:15+00:00', '2013-01-01T00:00:00+00:00')
    """
    if not (stamp.isascii() and stamp.isdigit() and 4 <= len(stamp) <= 17):
        raise BadIndexError(f"{stamp[:20]!r}: not a timestamp of 14 digits")
    stamp = stamp[:14] if len(stamp) in (4, 6, 8, 12, 14) or len(stamp) > 14 else stamp[: len(stamp) // 2 * 2].ljust(12, "0")
    return parse_date(stamp)


def digest_bytes(text: str) -> bytes:
    """The 20 bytes of a SHA-1 in base32 or hexadecimal digits, with or without `sha1:`; empty for anything else.

    >>> digest_bytes("sha1:B2LTWWPUOYAH7UIPQ7ZUPQ4VMBSVC36A").hex()
    '0e973b59f476007fd10f87f347c3956065516fc0'
    """
    name, colon, value = text.strip().rpartition(":")
    if colon and name.strip().lower().replace("-", "") != "sha1":
        return b""
    try:
        if len(value) == 32:
            return base64.b32decode(value.upper())
        return bytes.fromhex(value) if len(value) == 40 else b""
    except (binascii.Error, ValueError):
        return b""


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The index lines of a plain file, or of one compressed by gzip in any number of members. Raises BadIndexError."""
    rest = b""
    for piece in _pieces(file):
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise BadIndexError(f"a line of more than {MAX_LINE_BYTES:,} bytes")
        yield from filter(_is_capture, whole)
    if _is_capture(rest):
        yield rest


def _is_capture(line: bytes) -> bool:
    """Whether a line is neither blank nor a header such as `!meta` or ` CDX …`."""
    return bool(line.strip()) and not line.startswith((b"!", b" ", b"#"))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    data = file.read(READ_BYTES)
    if not data.startswith(b"\x1f\x8b"):
        while data:
            yield data
            data = file.read(READ_BYTES)
        return
    engine = zlib.decompressobj(GZIP_WINDOW)
    while data:
        try:
            yield engine.decompress(data, READ_BYTES * 16)
        except zlib.error as error:
            raise BadIndexError(f"damaged gzip data ({error})") from error
        if engine.eof:
            data = engine.unused_data or file.read(READ_BYTES)
            engine = zlib.decompressobj(GZIP_WINDOW)
        else:
            data = engine.unconsumed_tail or file.read(READ_BYTES)
            if not data:
                raise BadIndexError("the gzip data end early")


@dataclass(frozen=True, slots=True)
class IndexBlock:
    """A block of a zipnum index: the first key in it, its shard's name, offset and length."""

    key: str
    shard: str
    offset: int
    length: int


def read_cluster(data: bytes) -> list[IndexBlock]:
    """The blocks that a cluster.idx names, in its order. Raises BadIndexError."""
    blocks = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        parts = line.split("\t")
        if len(parts) < 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            raise BadIndexError(f"line {number} is not `key timestamp`, shard, offset and length, with tabs between them")
        blocks.append(IndexBlock(parts[0].split(" ", 1)[0], parts[1], int(parts[2]), int(parts[3])))
    return blocks


def blocks_with(blocks: list[IndexBlock], keys: list[str], shard: str) -> list[IndexBlock]:
    """The blocks of one shard that may hold a capture of one of the sorted keys. `blocks` are all blocks, in order.

    Captures of a key may begin in the block before the first one that begins with it, and go on over several.
    """
    if not keys:
        return []
    first = [block.key.encode() for block in blocks]
    wanted = [key.encode() for key in keys]
    found = []
    for number, block in enumerate(blocks):
        if block.shard != shard:
            continue
        low = bisect_left(wanted, first[number])
        high = bisect_right(wanted, first[number + 1]) if number + 1 < len(blocks) else len(wanted)
        if low < high:
            found.append(block)
    return found


def block_lines(data: bytes) -> list[bytes]:
    """The lines of one block of a zipnum shard. Raises BadIndexError."""
    engine = zlib.decompressobj(GZIP_WINDOW)
    try:
        content = engine.decompress(data, MAX_BLOCK_BYTES)
    except zlib.error as error:
        raise BadIndexError(f"damaged block ({error})") from error
    if not engine.eof:
        raise BadIndexError("a block that ends early, or of more than 64 MiB")
    return [line for line in content.split(b"\n") if _is_capture(line)]

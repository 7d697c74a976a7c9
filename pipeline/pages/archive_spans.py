"""The records of an archive file as spans of bytes: gzip members, zstd frames, or the plain records of WARC and ARC."""

import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipeline.pages.decoding import GZIP_WINDOW
from pipeline.pages.warc_record import MAX_RECORD_BYTES, PADDING, WarcError, record_size

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READ_BYTES = 1 << 18
_KIND_BYTES = 1 << 12
"""Bytes of a file that show its kind."""
ZSTD_STEP_BYTES = 1 << 12
"""A zstd block of 4 bytes can hold 128 KiB: a small step bounds what one step gives."""
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = struct.pack("<I", 0x184D2A5D)
"""The skippable frame that begins a .warc.zst file whose records need its dictionary."""
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP file (WACZ packs its WARC files in one: unpack them)"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"PAR1", "a Parquet file"),
    (b"{", "JSON"),
    (b"<", "HTML or XML"),
    (b"!OpenWayback", "a CDXJ index"),
    (b" CDX ", "a CDX index"),
    (b"%PDF-", "a PDF file"),
)

_ENDS = (b"\r\n\r\n", b"\n\n")
"""What ends a WARC record. Some writers leave it out."""
_RECORD_START = re.compile(rb"WARC/[0-9]\.[0-9]{1,2}\r?\n|[A-Za-z][A-Za-z0-9+.-]*:[^\r\n]* [0-9]{12,14} [^\r\n]* [0-9]+\r?\n")
"""First line of a record, in WARC or in ARC."""
_LATER_START = re.compile(rb"(?:WARC/[0-9]\.[0-9]{1,2}|(?:https?|ftp|dns):\S+ \S+ [0-9]{12,14} [^\r\n]*[0-9])\r?\n\Z")
"""First line of a record after damage, which may have taken the line end before it."""

RecordSpan = tuple[int, int, bytes]
"""Offset and length of a record in its file, and its uncompressed bytes."""


class NotAnArchiveError(WarcError):
    """A file is of a kind that is not read, in place of damaged."""


Damage = Callable[[WarcError], None]
"""Takes notice of a damaged record, which is skipped. Without one, the damage is raised."""


def spans(file: BinaryIO, damage: Damage | None = None) -> Iterator[RecordSpan]:
    """The span of every record of a file. Raises WarcError, and NotAnArchiveError for a file of another kind."""
    start = file.read(_KIND_BYTES)
    file.seek(0)
    if start.startswith(GZIP_MAGIC):
        yield from _member_spans(file, _gunzip, damage)
    elif start.startswith((ZSTD_MAGIC, DICTIONARY_MAGIC)):
        yield from _member_spans(file, _unzstd(_dictionary(file)), damage)
    else:
        _check_kind(start)
        yield from _plain_spans(file, damage)


def member_content(data: bytes, file: BinaryIO) -> bytes:
    """The content of one gzip member or zstd frame of a file; other data is returned unchanged. Raises WarcError."""
    if data.startswith(GZIP_MAGIC):
        decompress: NewMember = _gunzip
    elif data.startswith(ZSTD_MAGIC):
        file.seek(0)
        decompress = _unzstd(_dictionary(file))
    else:
        return data
    content, _, complete = decompress()(data)
    if not complete:
        raise WarcError("the member ends early")
    return content


MemberStep = Callable[[bytes], tuple[bytes, bytes, bool]]
"""Decompresses more of one member: the content, the bytes after the member, whether the member is complete."""
NewMember = Callable[[], MemberStep]


def _gunzip() -> MemberStep:
    engine = zlib.decompressobj(GZIP_WINDOW)
    size = 0

    def step(data: bytes) -> tuple[bytes, bytes, bool]:
        nonlocal size
        try:
            content = engine.decompress(data, MAX_RECORD_BYTES - size + 1)
        except zlib.error as error:
            raise WarcError(f"damaged gzip member: {error}") from error
        size += len(content)
        _check_size(size)
        return content, engine.unused_data, engine.eof

    return step


def _unzstd(dictionary: "zstd.ZstdDict | None") -> NewMember:
    def new() -> MemberStep:
        engine = zstd.ZstdDecompressor(zstd_dict=dictionary)
        size = 0

        def step(data: bytes) -> tuple[bytes, bytes, bool]:
            nonlocal size
            parts: list[bytes] = []
            at = 0
            try:
                while at < len(data) and not engine.eof:
                    parts.append(engine.decompress(data[at : at + ZSTD_STEP_BYTES]))
                    at += ZSTD_STEP_BYTES
                    size += len(parts[-1])
                    _check_size(size)
            except zstd.ZstdError as error:
                raise WarcError(f"damaged zstd frame: {error}") from error
            rest = engine.unused_data + data[at:] if engine.eof else b""
            return b"".join(parts), rest, engine.eof

        return step

    return new


def _check_size(size: int) -> None:
    if size > MAX_RECORD_BYTES:
        raise WarcError("a member of more than 256 MiB: recompress the file record by record")


def _dictionary(file: BinaryIO) -> "zstd.ZstdDict | None":
    """The dictionary in the file's first frame, plain or compressed; the file is left at the frame after it."""
    head = file.read(8)
    if not head.startswith(DICTIONARY_MAGIC):
        file.seek(0)
        return None
    size = int.from_bytes(head[4:], "little")
    if size > MAX_RECORD_BYTES:
        raise WarcError(f"a dictionary of {size:,} bytes")
    data = file.read(size)
    try:
        return zstd.ZstdDict(_unzstd(None)()(data)[0] if data.startswith(ZSTD_MAGIC) else data)
    except (zstd.ZstdError, ValueError) as error:
        raise WarcError(f"damaged dictionary: {error}") from error


def _member_spans(file: BinaryIO, decompress: NewMember, damage: Damage | None) -> Iterator[RecordSpan]:
    """The span of each member of a compressed file; members without a record and padding between members are skipped."""
    magic = GZIP_MAGIC if decompress is _gunzip else ZSTD_MAGIC
    offset, data = file.tell(), file.read(READ_BYTES)
    checked = False
    while True:
        while data and not (rest := data.lstrip(PADDING)):
            offset, data = offset + len(data), file.read(READ_BYTES)
        if not data:
            return
        offset, data = offset + len(data) - len(rest), rest
        if len(data) < 8:
            data += file.read(READ_BYTES)
        if int.from_bytes(data[:4], "little") in _SKIPPABLE and len(data) >= 8:
            offset += 8 + int.from_bytes(data[4:8], "little")
            file.seek(offset)
            data = file.read(READ_BYTES)
            continue
        try:
            content, used, data = _member(file, offset, data, decompress())
        except WarcError as error:
            if damage is None:
                raise
            damage(error)
            offset = _next_member(file, offset + 1, magic, decompress)
            file.seek(offset)
            data = file.read(READ_BYTES)
            continue
        if content.strip(PADDING):
            if not checked:
                _check_kind(content[:_KIND_BYTES])
                checked = True
            yield offset, used, content
        offset += used


def _member(file: BinaryIO, offset: int, data: bytes, step: MemberStep) -> tuple[bytes, int, bytes]:
    """Content and size of the member at `offset`, and the bytes read beyond it; `data` are the bytes read of it so far."""
    pieces: list[bytes] = []
    used, complete = 0, False
    while not complete:
        if not data:
            raise WarcError(f"the file ends inside the record at byte {offset}")
        try:
            content, rest, complete = step(data)
        except WarcError as error:
            raise WarcError(f"the record at byte {offset}: {error}") from error
        pieces.append(content)
        used += len(data) - len(rest)
        data = rest or file.read(READ_BYTES)
    return b"".join(pieces), used, data


def _next_member(file: BinaryIO, at: int, magic: bytes, decompress: NewMember) -> int:
    """Where the next member with a record begins, at `at` or after it; the end of the file where there is none.

    Compressed data holds a gzip member's first bytes by chance, and so does a record whose body is in gzip.
    """
    file.seek(at)
    data = file.read(READ_BYTES)
    while True:
        found = data.find(magic)
        if found < 0:
            kept = len(magic) - 1
            if not (more := file.read(READ_BYTES)):
                return at + len(data)
            at, data = at + max(0, len(data) - kept), data[-kept:] + more
            continue
        at += found
        file.seek(at)
        data = file.read(READ_BYTES)
        if _begins_record(data, decompress):
            return at
        at, data = at + 1, data[1:]


def _begins_record(data: bytes, decompress: NewMember) -> bool:
    """Whether a member begins with a record's first line, as far as the member's start shows."""
    try:
        content, _, complete = decompress()(data[:ZSTD_STEP_BYTES])
    except WarcError:
        return False
    start = content.lstrip(PADDING)
    return bool(_RECORD_START.match(start)) if start else not complete


def _plain_spans(file: BinaryIO, damage: Damage | None) -> Iterator[RecordSpan]:
    """The span of each record of an uncompressed file."""
    offset = _after_padding(file, 0)
    while offset is not None:
        try:
            data = _plain_record(file, offset)
        except WarcError as error:
            if damage is None:
                raise
            damage(error)
            offset = _next_start(file, offset)
            continue
        yield offset, len(data), data
        offset = _after_padding(file, offset + len(data))


def _after_padding(file: BinaryIO, offset: int) -> int | None:
    """Where the first byte after padding is, to which the file is moved; None at the end of the file."""
    file.seek(offset)
    data = file.read(16)
    while data:
        if text := data.lstrip(PADDING):
            offset += len(data) - len(text)
            file.seek(offset)
            return offset
        offset += len(data)
        data = file.read(READ_BYTES)
    return None


def _plain_record(file: BinaryIO, offset: int) -> bytes:
    """The record at which the file stands. Raises WarcError, also where neither its end nor a record follows it."""
    head = b""
    while not _is_complete(head):
        line = file.readline(READ_BYTES)
        if not line:
            raise WarcError(f"the file ends inside the record at byte {offset}")
        if head and _RECORD_START.match(line):
            raise WarcError(f"another record begins in the head of the one at byte {offset}")
        head += line
        if len(head) > READ_BYTES:
            raise WarcError(f"no WARC record at byte {offset}")
    size = record_size(head, offset)
    block = file.read(size)
    if len(block) < size:
        raise WarcError(f"the file ends inside the record at byte {offset}")
    data = head + block
    if not file.read(4).startswith(_ENDS if head.startswith(b"WARC/") else b"\n"):
        following = _after_padding(file, offset + len(data))
        if following is not None and not _RECORD_START.match(file.readline(READ_BYTES)):
            raise WarcError(f"the record at byte {offset} does not end where its length says")
    return data


def _next_start(file: BinaryIO, offset: int) -> int | None:
    """Where the next record begins, after the first byte at `offset`; None where there is none."""
    file.seek(offset)
    first = 1
    while line := file.readline(READ_BYTES):
        if match := _LATER_START.search(line, first):
            file.seek(offset + match.start())
            return offset + match.start()
        offset, first = offset + len(line), 0
    return None


def _is_complete(head: bytes) -> bool:
    """Whether a record's head has its end: an empty line in WARC, the end of the line in ARC."""
    return head.endswith((b"\n\r\n", b"\n\n")) if head.startswith(b"WARC/") else head.endswith(b"\n")


def _check_kind(start: bytes) -> None:
    """Raise NotAnArchiveError where a file's first bytes are those of a kind that is not read."""
    for magic, kind in _OTHER_KINDS:
        if start.startswith(magic):
            raise NotAnArchiveError(f"{kind}, not a WARC or ARC file")
    text = start.lstrip(PADDING)
    if text and not _RECORD_START.match(text) and not text.startswith((b"WARC/"[: len(text)], b"filedesc:"[: len(text)])):
        raise NotAnArchiveError(f"not a WARC or ARC file: it begins with {start[:12]!r}")

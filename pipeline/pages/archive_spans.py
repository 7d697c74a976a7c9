"""The records of an archive file as spans of bytes: gzip members, zstd frames, or the plain records of WARC and ARC."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipeline.pages.archive_members import (
    DICTIONARY_MAGIC,
    ZSTD_MAGIC,
    ZSTD_STEP_BYTES,
    LargeMemberError,
    MemberStep,
    NewMember,
    dictionary_of,
    gunzip,
    unzstd,
)
from pipeline.pages.decoding import GZIP_MAGIC
from pipeline.pages.wacz import ZIP_MAGIC, stored_archives
from pipeline.pages.warc_record import (
    HEAD_END,
    PADDING,
    RECORD_START,
    NotAnArchiveError,
    SeveralRecordsError,
    WarcError,
    record_size,
)

READ_BYTES = 1 << 18
_KIND_BYTES = 1 << 12
"""Bytes of a file that show its kind."""
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_OTHER_KINDS = (
    (b"PK", "a ZIP file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x04\x22\x4d\x18", "an LZ4 file"),
    (b"7z\xbc\xaf", "a 7z file"),
    (b"Rar!", "a RAR file"),
    (b"SQLite", "an SQLite file"),
    (b"PAR1", "a Parquet file"),
    (b"{", "JSON"),
    (b"<", "HTML or XML"),
    (b"!OpenWayback", "a CDXJ index"),
    (b" CDX ", "a CDX index"),
    (b"%PDF-", "a PDF file"),
)

_ENDS = (b"\r\n\r\n", b"\n\n")
"""What ends a WARC record. Some writers leave it out."""
_POSITIONAL = re.compile(rb"WARC/0\.(?:9|1[0-2])\b")
_LATER_START = re.compile(rb"(?:WARC/[0-9]\.[0-9]{1,2}|(?:https?|ftp|dns):\S+ \S+ [0-9]{12,14} [^\r\n]*[0-9])\r?\n\Z")
"""First line of a record after damage, which may have taken the line end before it."""

RecordSpan = tuple[int, int, bytes]
"""Offset and length of a record in its file, and its uncompressed bytes."""


Damage = Callable[[WarcError], None]
"""Takes notice of a damaged record, which is skipped. Without one, the damage is raised."""


def spans(file: BinaryIO, damage: Damage | None = None) -> Iterator[RecordSpan]:
    """The span of every record of a file, or of the files in a WACZ file.

    Raises WarcError, and NotAnArchiveError for a file of another kind.
    """
    for start, inner in archive_streams(file):
        yield from ((start + offset, length, data) for offset, length, data in _spans(inner, damage))


def archive_streams(file: BinaryIO) -> Iterator[tuple[int, BinaryIO]]:
    """The archives in a file: those that a ZIP file stores, with their offsets, else the file itself."""
    if file.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
        yield from stored_archives(file)
    else:
        file.seek(0)
        yield 0, file


def _spans(file: BinaryIO, damage: Damage | None) -> Iterator[RecordSpan]:
    file.seek(0)
    start = file.read(_KIND_BYTES)
    file.seek(0)
    if start.startswith(GZIP_MAGIC):
        yield from _member_spans(file, gunzip, damage)
    elif start.startswith((ZSTD_MAGIC, DICTIONARY_MAGIC)):
        yield from _member_spans(file, unzstd(dictionary_of(file)), damage)
    else:
        _check_kind(start)
        yield from _plain_spans(file, damage)


def _member_spans(file: BinaryIO, decompress: NewMember, damage: Damage | None) -> Iterator[RecordSpan]:
    """The span of each member of a compressed file; members without a record and padding between members are skipped."""
    magic = GZIP_MAGIC if decompress is gunzip else ZSTD_MAGIC
    offset, data = file.tell(), file.read(READ_BYTES)
    first = True
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
            content, used, data = _member(file, offset, data, decompress)
        except WarcError as error:
            _report(error, damage)
            offset = _next_member(file, offset + 1, magic, decompress)
            file.seek(offset)
            data = file.read(READ_BYTES)
            continue
        if text := content[:_KIND_BYTES].lstrip(PADDING) or content.lstrip(PADDING):
            if first:
                _check_kind(text[:_KIND_BYTES])
            elif not text.startswith(b"WARC/") and not RECORD_START.match(text):
                _report(SeveralRecordsError(f"the member at byte {offset} goes on with the record of the one before it"), damage)
            first = False
            yield offset, used, content
        offset += used


def _report(error: WarcError, damage: Damage | None) -> None:
    """Hand over an error, or raise it where nobody takes it."""
    if damage is None:
        raise error
    damage(error)


def _member(file: BinaryIO, offset: int, data: bytes, decompress: NewMember) -> tuple[bytes, int, bytes]:
    """Content and size of the member at `offset`, and the bytes read beyond it; `data` are the bytes read of it so far."""
    pieces: list[bytes] = []
    start, step = data, decompress()
    used, complete = 0, False
    while not complete:
        if not data:
            raise _error_of(pieces)(f"the file ends inside the record at byte {offset}")
        try:
            content, rest, complete = step(data)
        except LargeMemberError as error:
            kind = WarcError if _is_large_record(start, decompress()) else SeveralRecordsError
            raise kind(f"the record at byte {offset}: {error}") from error
        except WarcError as error:
            raise _error_of(pieces)(f"the record at byte {offset}: {error}") from error
        pieces.append(content)
        used += len(data) - len(rest)
        data = rest or file.read(READ_BYTES)
    return b"".join(pieces), used, data


def _is_large_record(data: bytes, step: MemberStep) -> bool:
    """Whether the first record of a member, as far as `data` show it, is itself larger than any that is read: a film, say."""
    content = b""
    for at in range(0, len(data), ZSTD_STEP_BYTES):
        content += step(data[at : at + ZSTD_STEP_BYTES])[0][:READ_BYTES]
        if len(content) >= _KIND_BYTES:
            break
    return _first_record_end(content.lstrip(PADDING)) is None


def _error_of(pieces: list[bytes]) -> type[WarcError]:
    """The error of a member whose content was read this far: does another record follow its first one?"""
    content = b"".join(pieces).lstrip(PADDING)
    end = _first_record_end(content)
    has_second = end is not None and RECORD_START.match(content[end:].lstrip(PADDING))
    return SeveralRecordsError if has_second else WarcError


def _first_record_end(content: bytes) -> int | None:
    """Where the record that begins a member's content ends; None where that is not said, or too far."""
    head = HEAD_END.search(content) if content.startswith(b"WARC/") else re.search(rb"\n", content)
    try:
        return head and head.end() + record_size(content[: head.end()], 0)
    except WarcError:
        return None


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
    return bool(RECORD_START.match(start)) if start else not complete


def _plain_spans(file: BinaryIO, damage: Damage | None) -> Iterator[RecordSpan]:
    """The span of each record of an uncompressed file."""
    offset = _after_padding(file, 0)
    while offset is not None:
        try:
            data = _plain_record(file, offset)
        except WarcError as error:
            _report(error, damage)
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
        if head and RECORD_START.match(line):
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
        if following is not None and not RECORD_START.match(file.readline(READ_BYTES)):
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
    if _POSITIONAL.match(text):
        raise NotAnArchiveError("WARC 0.9 to 0.12, whose fields have no names: convert the file to WARC 1.0")
    if text and not RECORD_START.match(text) and not text.startswith((b"WARC/"[: len(text)], b"filedesc:"[: len(text)])):
        raise NotAnArchiveError(f"not a WARC or ARC file: it begins with {start[:12]!r}")

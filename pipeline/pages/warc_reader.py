"""Reading of WARC files and records, ours and others'. It needs no HTTP client.

Files are of WARC 0.18 to 1.1 or of ARC 1.0, plain, or compressed record by record: gzip, or zstd with a dictionary in its first
frame.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pipeline.pages.archive_members import member_content
from pipeline.pages.archive_spans import Damage, spans
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_record import MAX_RECORD_BYTES, WarcError, WarcRecord, parse_record
from pipeline.storage import files

OPEN_FILES = 8
"""Files of an object store that are kept open; each holds the last megabytes that were read."""

RECORD_FAILURES = (ValueError, LookupError, ArithmeticError, TypeError, EOFError, zlib.error)
"""Errors of reading one record, whose bytes come from a server: they concern one page. Errors of the disk concern the stage."""


def read_body(path: str, offset: int, length: int) -> bytes:
    """The body of the HTTP response in the record at `offset`, decoded. Raises WarcError where the record holds none."""
    with files.open_input(path) as file:
        return body_at(path, file, offset, length)


def body_at(path: str, file: BinaryIO, offset: int, length: int) -> bytes:
    """The body, as `read_body` gives it, out of an open file."""
    return http_response(record_at(path, file, offset, length)).body


def read_record(path: str, offset: int, length: int) -> WarcRecord:
    """The record at `offset`, `length` bytes of the file. Raises WarcError."""
    with files.open_input(path) as file:
        return record_at(path, file, offset, length)


class RecordReader:
    """Reads records of several files. Those of an object store stay open: what follows a record has often come with it."""

    def __init__(self) -> None:
        self._open: dict[str, BinaryIO] = {}

    def read(self, path: str, offset: int, length: int) -> WarcRecord:
        """The record at `offset`, as `read_record` gives it."""
        if files.is_local(path):
            return read_record(path, offset, length)
        file = self._open.pop(path, None) or files.open_input(path)
        self._open[path] = file  # the file that was read last is the last one
        if len(self._open) > OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        return record_at(path, file, offset, length)

    def close(self) -> None:
        """Close all files."""
        for file in self._open.values():
            file.close()
        self._open.clear()


def record_at(path: str, file: BinaryIO, offset: int, length: int) -> WarcRecord:
    """The record, as `read_record` gives it, out of an open file."""
    check_range(offset, length)
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise WarcError(f"{path}: ends before the record at {offset} does")
    return parse_record(member_content(data, file), offset, length)


def check_range(offset: int, length: int) -> None:
    """Raise WarcError for numbers that no record has: an index may come from others."""
    if offset < 0:
        raise WarcError(f"warc_offset is {offset}")
    if not 0 <= length <= MAX_RECORD_BYTES:
        raise WarcError(f"warc_length is {length}, not 0 to {MAX_RECORD_BYTES:,}")


def read_records(path: str, damage: Damage | None = None) -> Iterator[WarcRecord]:
    """All records of a WARC file, in order.

    `damage` is called with the error of each record that cannot be read; reading continues at the next record that begins as one.
    Without it, the first error is raised, a truncated end of the file included. Raises NotAnArchiveError for a file of another kind,
    and WarcError for a damaged zstd dictionary.
    """
    with files.open_input(path) as file:
        yield from records_of(file, damage)


def records_of(file: BinaryIO, damage: Damage | None = None) -> Iterator[WarcRecord]:
    """The records of an open file, as `read_records` gives them."""
    for offset, length, data in spans(file, damage):
        try:
            record = parse_record(data, offset, length)
        except WarcError as error:
            if damage is None:
                raise
            damage(error)
            continue
        yield record

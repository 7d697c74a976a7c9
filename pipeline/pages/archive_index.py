"""Index of the responses in WARC files that others crawled (Common Crawl, the Internet Archive).

Two phases: each file is indexed once, by hashes of the dedup keys of its URLs and of the digests of its payloads; the indexes are
sorted into buckets, which processes map.
"""

import hashlib
import shutil
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.archive_files import redacted_pages
from pipeline.pages.archive_unpacking import UNPACKED, unpack
from pipeline.pages.outcomes import REDIRECT_STATUSES
from pipeline.pages.stored_response import http_status, stored_head
from pipeline.pages.warc_reader import RECORD_FAILURES, RecordReader, read_records, records_of
from pipeline.pages.warc_record import NotAnArchiveError, SeveralRecordsError, WarcError, WarcRecord, payload_digest
from pipeline.records import Page
from pipeline.storage import arrays, files
from pipeline.urls import dedup_key
from tokenizer.errors import InputError

SPILL, SORTED = "archive", "captures"
BAD_RECORDS = "bad_records"
CAPTURE = np.dtype(
    [
        ("page", "<u8"),
        ("url", "<u8"),
        ("captured_at", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("file", "<i4"),
        ("status", "<i4"),
        ("kind", "<i4"),
    ]
)
"""A record of a page: hash of its URL's dedup key, hash of the URL, time (microseconds), offset and length in its file, number of
the file, status, and one of the four kinds below. A whole success has a second row: in place of the key, its payload's digest."""
WHOLE, TRUNCATED, REVISIT, OWN_PAGE = range(4)
"""A whole response or resource; one whose writer cut it; a record that refers to another for its body; a page of our own crawl
under its link's URL, which its record does not name."""
PAGE_KINDS = frozenset({"response", "resource", "revisit"})
PARTIAL_STATUSES = frozenset({204, 205, 206})
"""Successes without a page, or with a part of one."""
ARCHIVE_BYTES_PER_BUCKET = 1 << 34
"""Some 500,000 records of 30 KB, which one process sorts in memory: 25 MB of index."""


def hash64(text: str) -> int:
    """A 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def bucket_count(paths: Sequence[str]) -> int:
    """Number of buckets in the index of these files."""
    return 1 + sum(map(files.size, paths)) // ARCHIVE_BYTES_PER_BUCKET


@dataclass(frozen=True, slots=True)
class IndexArchive:
    """Indexes one WARC file; the part's work is its number and its path."""

    buckets: int

    def __call__(self, part: Part[tuple[int, str]], writer: PartWriter) -> None:
        """Read every record. A file of another kind, or one without a record that can be read, raises InputError.

        Damaged records, and response records without a response, are counted and skipped. So are, without a count, addresses that
        are not of the web (dns:, urn:) and answers to other requests than GET. Of a file that was compressed as a whole, a plain
        copy is spilled, which the index points into.
        """
        number, path = part.work
        index = _FileIndex(number)
        try:
            try:
                for record in read_records(path, index.damage):
                    writer.advance(record.length)
                    index.add(record)
            except SeveralRecordsError:
                index = _copied(number, path, writer)
        except NotAnArchiveError as error:
            raise InputError(f"{path}: {error}") from error
        except WarcError as error:
            raise InputError(f"{path}: {error}; get the file anew, or leave it out") from error
        if index.first_error and not index.records:
            raise InputError(f"{path}: {index.first_error}; get the file anew, or leave it out")
        if index.bad_records:
            writer.counters[BAD_RECORDS] = index.bad_records
        captures = np.array([*index.rows(), *(_own_page(number, page) for page in redacted_pages(path))], CAPTURE)
        buckets = (captures["page"] % np.uint64(self.buckets)).astype(np.int64)
        shuffle.write_run(writer, SPILL, captures, buckets, self.buckets)


def _copied(number: int, path: str, writer: PartWriter) -> "_FileIndex":
    """The index of a plain copy of an archive; the copy is spilled."""
    index = _FileIndex(number)
    with files.open_input(path) as file, tempfile.TemporaryFile() as copy:
        damage = unpack(file, files.size(path), copy)
        copy.seek(0)
        for record in records_of(copy, index.damage):
            index.add(record)
        if damage:
            index.damage(damage)
        copy.seek(0)
        writer.publish(UNPACKED, index.records, lambda f: shutil.copyfileobj(copy, f), writer.spill_name(f"{writer.key}.warc"))
    return index


class _FileIndex:
    """The index of one file, while its records are read."""

    def __init__(self, number: int) -> None:
        self.records = self.bad_records = 0
        self.first_error: WarcError | None = None
        self._number = number
        self._rows: list[tuple[tuple[int, ...], str, str]] = []
        self._other_requests: set[str] = set()

    def damage(self, error: WarcError) -> None:
        """Take notice of a record that cannot be read. Raises SeveralRecordsError, which concerns the whole file."""
        if isinstance(error, SeveralRecordsError):
            raise error
        self.first_error = self.first_error or error
        self.bad_records += 1

    def add(self, record: WarcRecord) -> None:
        """Index a record. One that cannot be understood is counted as bad."""
        self.records += 1
        ids = record.headers.get("warc-record-id", ""), record.headers.get("warc-concurrent-to", "")
        if record.kind == "request" and not record.block.startswith(b"GET "):
            self._other_requests.update(filter(None, ids))
        if record.kind in PAGE_KINDS and record.url.lower().startswith(("http://", "https://")):
            try:
                self._rows += [(row, *ids) for row in _capture_rows(self._number, record)]
            except RECORD_FAILURES:
                self.bad_records += 1

    def rows(self) -> Iterator[tuple[int, ...]]:
        """The rows of all captures that answer a GET. A request may stand before its response or after it."""
        return (row for row, *ids in self._rows if self._other_requests.isdisjoint(ids))


def _capture_rows(number: int, record: WarcRecord) -> Iterator[tuple[int, ...]]:
    kind, status = _kind_and_status(record)
    page, url = hash64(dedup_key(record.url)), hash64(record.url)
    place = round(record.date.timestamp() * 1e6), record.offset, record.length, number, status, kind
    yield page, url, *place
    if kind == WHOLE and is_page_status(status) and (digest := payload_digest(record.headers)):
        yield hash64(digest), url, *place


def is_page_status(status: int) -> bool:
    """Whether a response of this status holds a page."""
    return 200 <= status < 300 and status not in PARTIAL_STATUSES


def _kind_and_status(record: WarcRecord) -> tuple[int, int]:
    """Kind and status of a capture. A revisit whose record tells none, or 304, has the page of the record that it refers to."""
    if record.kind == "revisit":
        head = stored_head(record)
        return REVISIT, 200 if head is None or head.status == 304 else head.status
    return TRUNCATED if record.headers.get("warc-truncated") else WHOLE, http_status(record)


def _own_page(number: int, page: Page) -> tuple[int, ...]:
    captured_at = round(page.fetched_at.timestamp() * 1e6)
    key, url = hash64(dedup_key(page.url)), hash64(page.url)
    return key, url, captured_at, page.warc_offset, page.warc_length, number, page.status, OWN_PAGE


@dataclass(frozen=True, slots=True)
class SortCaptures:
    """Sorts the captures of one bucket of the index by page, then file, then offset."""

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read the bucket's runs and spill one sorted array."""
        captures = shuffle.entries(part.work, CAPTURE)
        captures = captures[np.lexsort((captures["offset"], captures["file"], captures["page"]))]
        writer.publish(SORTED, len(captures), lambda f: arrays.write(f, captures), writer.spill_name(f"{writer.key}.npy"))


class Capture(NamedTuple):
    """A record of the index: where it is, and what it holds (see CAPTURE)."""

    path: str
    offset: int
    length: int
    kind: int


class Captures:
    """The finished index: WARC files, and sorted buckets, of which a process maps those that it looks into."""

    def __init__(self, paths: tuple[str, ...], buckets: tuple[str, ...]) -> None:
        self._paths = paths
        self._bucket = cache(lambda bucket: np.asarray(arrays.load(buckets[bucket])))
        self._buckets = len(buckets)
        self._records = RecordReader()

    def record(self, capture: Capture) -> WarcRecord:
        """The record of a capture. Raises WarcError."""
        return self._records.read(capture.path, capture.offset, capture.length)

    def in_order(self, links: Iterable[tuple[str, datetime | None]]) -> list[int]:
        """The positions of URLs, each with the time to be near to, in the order in which their first captures lie in the archives.

        Read in this order, neighbours of an object store's file come by one request. Files of a disk need no order.
        """
        links = list(links)
        if all(map(files.is_local, self._paths)):
            return list(range(len(links)))
        places = [next(((c.path, c.offset) for c in self.ranked(url, near)), ("", 0)) for url, near in links]
        return sorted(range(len(links)), key=places.__getitem__)

    def close(self) -> None:
        """Close the archives that are open."""
        self._records.close()

    def ranked(self, url: str, near: datetime | None) -> list[Capture]:
        """All captures of a URL and its other spellings, the one to take first.

        Whole successes and redirects come before truncated ones, and those before failures; then captures of the exact URL before
        those of its other spellings; then the one nearest in time to `near` (without it, the latest).
        """
        return self._ranked(hash64(dedup_key(url)), hash64(url), near)

    def with_payload(self, digest: str, near: datetime) -> list[Capture]:
        """All whole captures of pages, of any URL, whose payload has this digest, the nearest in time first."""
        return self._ranked(hash64(digest), 0, near)

    def _ranked(self, key: int, url: int, near: datetime | None) -> list[Capture]:
        captures = self._bucket(key % self._buckets)
        keys = captures["page"]
        low = bisect_left(keys, key)  # np.searchsorted would copy the column
        high = bisect_right(keys, key, low)
        rows = sorted(captures[low:high], key=partial(_preference, url, near))
        return [Capture(self._paths[r["file"]], int(r["offset"]), int(r["length"]), int(r["kind"])) for r in rows]


def _preference(url: int, near: datetime | None, row: np.void) -> tuple[int, bool, bool, int]:
    captured_at = int(row["captured_at"])
    distance = -captured_at if near is None else abs(captured_at - round(near.timestamp() * 1e6))
    status, kind = int(row["status"]), int(row["kind"])
    useful = status in REDIRECT_STATUSES or is_page_status(status)
    rank = 2 if not useful else 1 if kind == TRUNCATED else 0
    return rank, int(row["url"]) != url, kind != OWN_PAGE, distance

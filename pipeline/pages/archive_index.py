"""Index of the responses in WARC files that others crawled (Common Crawl, the Internet Archive).

Two phases: each file is indexed once, by hashes of the dedup keys of its URLs; the indexes are sorted into buckets, which
processes map.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.stored_response import http_status
from pipeline.pages.warc_reader import read_records
from pipeline.pages.warc_record import WarcError, WarcRecord
from pipeline.storage import arrays, files
from pipeline.urls import dedup_key
from tokenizer.errors import InputError

PATTERNS = ("*.warc", "*.warc.gz")
SPILL, SORTED = "archive", "captures"
CAPTURE = np.dtype(
    [
        ("page", "<u8"),
        ("url", "<u8"),
        ("captured_at", "<i8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("file", "<i4"),
        ("status", "<i4"),
    ]
)
"""A response record: hash of its URL's dedup key, hash of the URL, time (microseconds), offset and length in its file, number of
the file, status."""
ARCHIVE_BYTES_PER_BUCKET = 1 << 34
"""Some 500,000 records of 30 KB, which one process sorts in memory: 25 MB of index."""


def archive_files(paths: tuple[str, ...]) -> list[str]:
    """The WARC files that the paths name; a folder stands for all files below it. Raises InputError where there are none."""
    archives: list[str] = []
    for path in paths:
        if files.is_local(path) and Path(path).is_dir():
            below = sorted({str(p) for pattern in PATTERNS for p in Path(path).rglob(pattern)})
            if not below:
                raise InputError(f"--fetch_from {path}: no {' or '.join(PATTERNS)} below it")
            archives += below
        elif files.exists(path):
            archives.append(path)
        else:
            raise InputError(f"--fetch_from {path}: no such file or folder")
    return archives


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
        """Read every record. A damaged file raises InputError; a response record without a response is counted and skipped."""
        number, path = part.work
        rows: list[tuple[int, ...]] = []
        try:
            for record in read_records(path):
                writer.advance(record.length)
                if record.kind == "response":
                    rows += self._row(number, record, writer)
        except WarcError as error:
            raise InputError(f"{path}: {error}; get the file anew, or leave it out") from error
        captures = np.array(rows, CAPTURE)
        buckets = (captures["page"] % np.uint64(self.buckets)).astype(np.int64)
        shuffle.write_run(writer, SPILL, captures, buckets, self.buckets)

    def _row(self, number: int, record: WarcRecord, writer: PartWriter) -> Iterator[tuple[int, ...]]:
        try:
            status, page = http_status(record), hash64(dedup_key(record.url))
            captured_at = round(record.date.timestamp() * 1e6)
        except ValueError:
            writer.counters["bad_records"] += 1
            return
        yield page, hash64(record.url), captured_at, record.offset, record.length, number, status


@dataclass(frozen=True, slots=True)
class SortCaptures:
    """Sorts the captures of one bucket of the index by page, then file, then offset."""

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read the bucket's runs and spill one sorted array."""
        captures = shuffle.entries(part.work, CAPTURE)
        captures = captures[np.lexsort((captures["offset"], captures["file"], captures["page"]))]
        writer.publish(SORTED, len(captures), lambda f: arrays.write(f, captures), writer.spill_name(f"{writer.key}.npy"))


class Captures:
    """The finished index: WARC files, and sorted buckets, of which a process maps those that it looks into."""

    def __init__(self, paths: tuple[str, ...], buckets: tuple[str, ...]) -> None:
        self._paths = paths
        self._bucket = cache(lambda bucket: np.asarray(arrays.load(buckets[bucket])))
        self._buckets = len(buckets)

    def best(self, url: str, near: datetime | None) -> tuple[str, int, int] | None:
        """(path, offset, length) of the capture to take for a URL; None where there is none.

        Captures of the exact URL come before those of its other spellings, then successes and redirects before failures, then the
        one nearest in time to `near` (without it, the latest).
        """
        page = hash64(dedup_key(url))
        captures = self._bucket(page % self._buckets)
        pages = captures["page"]
        low = bisect_left(pages, page)  # np.searchsorted would copy the column
        high = bisect_right(pages, page, low)
        if low == high:
            return None
        row = min(captures[low:high], key=partial(_preference, hash64(url), near))
        return self._paths[row["file"]], int(row["offset"]), int(row["length"])


def _preference(url: int, near: datetime | None, row: np.void) -> tuple[bool, bool, int]:
    captured_at = int(row["captured_at"])
    distance = -captured_at if near is None else abs(captured_at - round(near.timestamp() * 1e6))
    return int(row["url"]) != url, row["status"] >= 400, distance

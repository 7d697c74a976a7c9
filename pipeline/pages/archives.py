"""Pages out of WARC files that others crawled (Common Crawl, the Internet Archive), in place of the live web.

Three phases: each file is indexed once, by the dedup key of its URLs; the indexes become one, sorted, in buckets, which every process maps;
then each part of the links looks its pages up and copies them.
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
from pipeline.pages import warc
from pipeline.pages.answer import Answer
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import MOVED, Dropped, Outcome, Reason, page_of, redirect_target
from pipeline.pages.output import entry, publish, read_links
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.warc import WarcError, Way
from pipeline.records import Link
from pipeline.storage import arrays, files
from pipeline.storage.files import InputError
from pipeline.urls import dedup_key

PATTERNS = ("*.warc", "*.warc.gz")
MAX_REDIRECTS = 5
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
"""A response record: hashes of its URL's dedup key and of the URL itself, when (microseconds), where, in which file, what."""
ARCHIVE_BYTES_A_BUCKET = 1 << 34
"""Some 500,000 records of 30 KB, which one process sorts in memory: 25 MB of index."""


def archive_files(paths: tuple[str, ...]) -> list[str]:
    """The WARC files that the paths name; of a folder, all below it. Raises InputError where there are none."""
    found: list[str] = []
    for path in paths:
        if files.is_local(path) and Path(path).is_dir():
            below = sorted({str(p) for pattern in PATTERNS for p in Path(path).rglob(pattern)})
            if not below:
                raise InputError(f"--fetch_from {path}: no {' or '.join(PATTERNS)} below it")
            found += below
        elif files.exists(path):
            found.append(path)
        else:
            raise InputError(f"--fetch_from {path}: no such file or folder")
    return found


def hash64(text: str) -> int:
    """A name of a text in 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def bucket_count(paths: Sequence[str]) -> int:
    """So many buckets has the index of these files."""
    return 1 + sum(map(files.size, paths)) // ARCHIVE_BYTES_A_BUCKET


@dataclass(frozen=True, slots=True)
class IndexArchive:
    """Indexes one WARC file: the part's work is its number and its path."""

    buckets: int

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read every record; a damaged file is an InputError, a response that is none is counted."""
        number, path = part.work
        rows: list[tuple[int, ...]] = []
        try:
            for record in warc.records(path):
                writer.advance(record.length)
                if record.kind == "response":
                    rows += self._row(number, record, writer)
        except WarcError as error:
            raise InputError(f"{path}: {error}; get the file anew, or leave it out") from error
        found = np.array(rows, CAPTURE)
        shuffle.write_run(writer, SPILL, found, (found["page"] % np.uint64(self.buckets)).astype(np.int64), self.buckets)

    def _row(self, number: int, record: warc.Record, writer: PartWriter) -> Iterator[tuple[int, ...]]:
        try:
            status, page = warc.http_status(record), hash64(dedup_key(record.url))
            captured_at = round(record.date.timestamp() * 1e6)
        except ValueError:
            writer.counters["bad_records"] += 1
            return
        yield page, hash64(record.url), captured_at, record.offset, record.length, number, status


@dataclass(frozen=True, slots=True)
class SortCaptures:
    """The work of one bucket of the index: its captures by page, then file, then offset."""

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Read all, sort, spill."""
        found = shuffle.entries(part.work, CAPTURE)
        found = found[np.lexsort((found["offset"], found["file"], found["page"]))]
        writer.publish(SORTED, len(found), lambda f: arrays.write(f, found), writer.spill_name(f"{writer.key}.npy"))


class Captures:
    """The index: WARC files, and its sorted buckets, of which a process maps those that it asks."""

    def __init__(self, paths: tuple[str, ...], buckets: tuple[str, ...]) -> None:
        self._paths = paths
        self._bucket = cache(lambda bucket: np.asarray(arrays.load(buckets[bucket])))
        self._buckets = len(buckets)

    def best(self, url: str, near: datetime | None) -> tuple[str, int, int] | None:
        """(path, offset, length) of the capture to take: of the very URL before its other spellings, a success or redirect before a
        failure, the one nearest in time to the submission (without one, the latest).
        """
        page = hash64(dedup_key(url))
        found = self._bucket(page % self._buckets)
        pages = found["page"]
        low = bisect_left(pages, page)  # np.searchsorted would copy the column
        high = bisect_right(pages, page, low)
        if low == high:
            return None
        row = min(found[low:high], key=partial(_worth, hash64(url), near))
        return self._paths[row["file"]], int(row["offset"]), int(row["length"])


def _worth(url: int, near: datetime | None, row: np.void) -> tuple[bool, bool, int]:
    captured_at = int(row["captured_at"])
    distance = -captured_at if near is None else abs(captured_at - round(near.timestamp() * 1e6))
    return int(row["url"]) != url, row["status"] >= 400, distance


@dataclass(frozen=True, slots=True)
class TakePart:
    """Copies the pages of one part's links out of the archives: their paths, and those of their index' buckets."""

    settings: PagesSettings
    archives: tuple[str, ...]
    buckets: tuple[str, ...]

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """As `FetchPart`, without a web."""
        share = part.work
        links = {link.url: link for path in share.shards for link in read_links(path)}
        captures = Captures(self.archives, self.buckets)
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            for url, link in links.items():
                if url not in journal.entries:
                    journal.append(*entry(take(link, captures), link))
                    writer.advance()
            publish(journal, links, writer, self.settings.warc_bytes, {})


def take(link: Link, captures: Captures) -> Outcome:
    """A link's outcome from the archives, redirects followed as far as they are archived."""
    url, way = link.url, Way()
    for _ in range(MAX_REDIRECTS + 1):
        place = captures.best(url, link.submitted_at)
        if place is None:
            return Dropped(link.url, Reason.NOT_ARCHIVED, "" if url == link.url else warc.redacted(url))
        try:
            answer, date = _read(*place)
            if answer.status not in MOVED:
                return page_of(link.url, answer, date, way)
            way = way.then(warc.exchange_members(answer, date))
            url = redirect_target(answer)
        except ValueError as error:
            return Dropped(link.url, Reason.BAD_RECORD, str(error)[:200])
    return Dropped(link.url, Reason.TOO_MANY_REDIRECTS)


def _read(path: str, offset: int, length: int) -> tuple[Answer, datetime]:
    record = warc.read_record(path, offset, length)
    return warc.http_response(record), record.date

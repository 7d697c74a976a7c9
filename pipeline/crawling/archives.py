"""Pages out of WARC files that others crawled (Common Crawl, the Internet Archive), in place of the live web.

Two phases: each file is indexed once, by the dedup key of its URLs; then each part of the links looks its pages up and copies them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline import files
from pipeline.crawling import warc
from pipeline.crawling.client import Answer
from pipeline.crawling.journal import Journal
from pipeline.crawling.outcomes import MOVED, Dropped, Outcome, Reason, page_of, redirect_target
from pipeline.crawling.volumes import entry, publish, read_links
from pipeline.crawling.warc import WarcError, Way
from pipeline.fetch import PagesSettings, Share
from pipeline.files import InputError
from pipeline.parts import Part, PartWriter
from pipeline.records import Link, required
from pipeline.urls import dedup_key

PATTERNS = ("*.warc", "*.warc.gz")
MAX_REDIRECTS = 5
SPILL = "archive"
CAPTURE = pa.schema(
    [
        required("page", pa.uint64()),
        required("url", pa.uint64()),
        required("captured_at", pa.int64()),
        required("status", pa.int16()),
        required("offset", pa.int64()),
        required("length", pa.int64()),
    ]
)
"""A response record: hashes of its URL's dedup key and of the URL itself, when (microseconds), what, where."""


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


@dataclass(frozen=True, slots=True)
class IndexArchive:
    """Indexes one WARC file: the part's work is its path."""

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read every record; a damaged file is an InputError, a response that is none is counted."""
        rows: list[dict[str, int]] = []
        try:
            for record in warc.records(part.work):
                writer.advance(record.length)
                if record.kind == "response":
                    rows += self._row(record, writer)
        except WarcError as error:
            raise InputError(f"{part.work}: {error}; get the file anew, or leave it out") from error
        table = pa.Table.from_pylist(rows, schema=CAPTURE).sort_by([("page", "ascending"), ("offset", "ascending")])
        writer.publish_table(SPILL, table, writer.spill_name(f"{writer.key}.parquet"))

    def _row(self, record: warc.Record, writer: PartWriter) -> Iterator[dict[str, int]]:
        try:
            status, page = warc.http_status(record), hash64(dedup_key(record.url))
            captured_at = round(record.date.timestamp() * 1e6)
        except ValueError:
            writer.counters["bad_records"] += 1
            return
        place = {"offset": record.offset, "length": record.length}
        yield {"page": page, "url": hash64(record.url), "captured_at": captured_at, "status": status, **place}


class Captures:
    """All indexes, in memory: 42 bytes a record."""

    def __init__(self, archives: tuple[tuple[str, str], ...]) -> None:
        self._paths = [path for path, _ in archives]
        tables = [files.read_table(index) for _, index in archives]
        counts = [table.num_rows for table in tables]
        table = pa.concat_tables(tables)
        self._columns = {name: table.column(name).to_numpy() for name in table.schema.names}
        self._file = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self._order = np.argsort(self._columns["page"], kind="stable")
        self._pages = self._columns["page"][self._order]

    def best(self, url: str, near: datetime | None) -> tuple[str, int, int] | None:
        """(path, offset, length) of the capture to take: of the very URL before its other spellings, a success or redirect before a
        failure, the one nearest in time to the submission (without one, the latest).
        """
        page = np.uint64(hash64(dedup_key(url)))
        low, high = np.searchsorted(self._pages, page, "left"), np.searchsorted(self._pages, page, "right")
        rows = self._order[low:high].tolist()
        if not rows:
            return None
        row = min(rows, key=lambda r: self._worth(r, hash64(url), near))
        return self._paths[self._file[row]], int(self._columns["offset"][row]), int(self._columns["length"][row])

    def _worth(self, row: int, url: int, near: datetime | None) -> tuple[bool, bool, int, int]:
        captured_at = int(self._columns["captured_at"][row])
        distance = -captured_at if near is None else abs(captured_at - round(near.timestamp() * 1e6))
        return int(self._columns["url"][row]) != url, self._columns["status"][row] >= 400, distance, row


@dataclass(frozen=True, slots=True)
class TakePart:
    """Copies the pages of one part's links out of the archives: (WARC file, its index) each."""

    settings: PagesSettings
    archives: tuple[tuple[str, str], ...]

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """As `FetchPart`, without a web."""
        share: Share = part.work
        links = {link.url: link for path in share.shards for link in read_links(path)}
        captures = Captures(self.archives)
        with Journal.at(files.join(writer.place.work_folder, f"{part.key}.journal")) as journal:
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

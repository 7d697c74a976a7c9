"""Ranges of a crawl's pages: rows of the pages index, and their bodies from the WARC files beside it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Self

from pipeline.documents.drops import STAGE_NAME, ExtractDrop
from pipeline.pages.warc_reader import RECORD_FAILURES, body_at, check_range
from pipeline.records import Drop, Page, RawPage
from pipeline.redaction import excerpt
from pipeline.storage import files
from pipeline.storage.columns import check_rows
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError
from tokenizer.untrusted import check_file, plain_name

RANGES_PER_CORPUS = 16
MIN_PAGES_PER_RANGE = 100
MAX_PAGES_PER_RANGE = 4_000
MOST_RANGES = 20_000
"""Beyond so many, ranges grow: later stages write up to five files per range, and a manifest has room for 100,000."""
ROWS_PER_READ = 1024


@dataclass(frozen=True, slots=True)
class PageRange:
    """Rows `start` to `stop` of a pages index; `folder` holds the index and its WARC files."""

    folder: str
    index: str
    start: int
    stop: int

    def pages(self) -> Iterator[Page]:
        """The range's pages in the index's order."""
        row = 0
        for batch in files.record_batches(files.join(self.folder, self.index), Page.SCHEMA.names, ROWS_PER_READ):
            first = max(0, self.start - row)
            last = min(batch.num_rows, self.stop - row)
            yield from (Page.from_row(values) for values in batch.slice(first, max(0, last - first)).to_pylist())
            row += batch.num_rows
            if row >= self.stop:
                return

    def read(self, page: Page) -> RawPage | Drop:
        """The page with the body in its WARC record, as a `PageReader` gives it."""
        with PageReader(self) as reader:
            return reader.read(page)

    def check_place(self, page: Page) -> None:
        """Raise InputError unless the index names a file beside it and a range of bytes that a record can have."""
        try:
            plain_name(page.warc_file)
            if files.is_local(self.folder):
                check_file(self.folder, page.warc_file)
        except ValueError as error:
            raise self._fault(page, f"warc_file is {page.warc_file!r}: {error}") from error
        try:
            check_range(page.warc_offset, page.warc_length)
        except ValueError as error:
            raise self._fault(page, str(error)) from error

    def _fault(self, page: Page, what: str) -> InputError:
        return InputError(f"{files.join(self.folder, self.index)}: {page.url[:80]!r}: {what}; fetch the pages again")


class PageReader:
    """Reads the bodies of a range's pages. Its WARC file stays open: an object store is asked for many pages at once.

    Threads may share it.
    """

    def __init__(self, pages: PageRange) -> None:
        self._pages = pages
        self._lock = threading.Lock()
        self._path = ""
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def read(self, page: Page) -> RawPage | Drop:
        """The page with the body in its WARC record; a drop where the record gives no body, or not the one that was fetched.

        Raises InputError where the WARC file cannot be opened or read, and where the index names no record of this folder.
        """
        self._pages.check_place(page)
        path = files.join(self._pages.folder, page.warc_file)
        try:
            with self._lock:
                body = body_at(path, self._opened(path), page.warc_offset, page.warc_length)
        except OSError as error:
            raise InputError(f"{path}: cannot read {page.url} ({error}); fetch the pages again") from error
        except RECORD_FAILURES as error:
            return _bad_record(page, " ".join(f"{error}".split()) or type(error).__name__)
        if sha256(body).digest() != page.sha256:
            return _bad_record(page, "the record's body is not the one that was fetched (its sha256)")
        return RawPage.of(page, body)

    def _opened(self, path: str) -> BinaryIO:
        if self._file is None or path != self._path:
            if self._file:
                self._file.close()
            self._path, self._file = path, files.open_input(path)
        return self._file


def _bad_record(page: Page, detail: str) -> Drop:
    return Drop(
        STAGE_NAME, page.url, ExtractDrop.BAD_RECORD, excerpt(f"{page.warc_file} at byte {page.warc_offset}: {detail}", 200)
    )


def page_ranges(folder: str, manifest: StageManifest) -> list[PageRange]:
    """All pages of a pages folder, each in exactly one range. The cuts depend on the data alone."""
    indexes = manifest.of_kind("pages")
    pages = sum(index.rows for index in indexes)
    if files.is_local(folder):
        for index in indexes:
            check_rows(files.join(folder, index.name), index.rows)
    size = range_size(pages, len(indexes))
    return [
        PageRange(folder, index.name, start, min(start + size, index.rows))
        for index in indexes
        for start in range(0, index.rows, size)
    ]


def range_size(pages: int, indexes: int) -> int:
    """Pages per range: as many as keep workers busy, at most MAX_PAGES_PER_RANGE, unless that makes more than MOST_RANGES ranges.

    Each index may end with a smaller range.

    >>> range_size(8_000, 1), range_size(45_000_000, 2_250), range_size(450_000_000, 5_000)
    (500, 4000, 30000)
    """
    size = max(MIN_PAGES_PER_RANGE, min(MAX_PAGES_PER_RANGE, pages // RANGES_PER_CORPUS))
    return max(size, -(-pages // max(1, MOST_RANGES - indexes)))

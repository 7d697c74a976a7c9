"""Ranges of a crawl's pages: rows of the pages index, and their bodies from the WARC files beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from pipeline.pages.warc_reader import WarcError, read_body
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError

RANGES_PER_CORPUS = 16
MIN_PAGES_PER_RANGE = 100
MAX_PAGES_PER_RANGE = 4_000
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
        for batch in files.record_batches(files.join(self.folder, self.index), rows=ROWS_PER_READ):
            first = max(0, self.start - row)
            last = min(batch.num_rows, self.stop - row)
            yield from (Page.from_row(values) for values in batch.slice(first, max(0, last - first)).to_pylist())
            row += batch.num_rows
            if row >= self.stop:
                return

    def body(self, page: Page) -> bytes:
        """The body in the page's WARC record. Raises InputError where the archive is damaged."""
        path = files.join(self.folder, page.warc_file)
        try:
            body = read_body(path, page.warc_offset, page.warc_length)
        except (WarcError, OSError) as error:
            raise InputError(f"{path}: cannot read {page.url} ({error}); fetch the pages again") from error
        if sha256(body).digest() != page.sha256:
            raise InputError(f"{path}: {page.url} differs from the page that was fetched (its sha256); fetch the pages again")
        return body


def page_ranges(folder: str, manifest: StageManifest) -> list[PageRange]:
    """All pages of a pages folder, each in exactly one range. The cuts depend on the data alone."""
    indexes = manifest.of_kind("pages")
    size = sum(index.rows for index in indexes) // RANGES_PER_CORPUS
    size = max(MIN_PAGES_PER_RANGE, min(MAX_PAGES_PER_RANGE, size))
    return [
        PageRange(folder, index.name, start, min(start + size, index.rows))
        for index in indexes
        for start in range(0, index.rows, size)
    ]

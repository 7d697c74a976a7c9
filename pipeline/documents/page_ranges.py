"""The pages of a crawl, a range at a time: their rows from the index, their bodies from the WARC files beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from pipeline.pages.warc_reader import WarcError, read_body
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest

PARTS_A_CORPUS = 16
PAGES_A_PART = (100, 4_000)
"""The least and the most."""


@dataclass(frozen=True, slots=True)
class PageRange:
    """Rows `start` to `stop` of a pages index; `folder` holds it and its WARC files."""

    folder: str
    index: str
    start: int
    stop: int

    def pages(self) -> Iterator[Page]:
        """In the index's order."""
        row = 0
        for batch in files.record_batches(files.join(self.folder, self.index), rows=1024):
            wanted = batch.slice(
                max(0, self.start - row), max(0, min(batch.num_rows, self.stop - row) - max(0, self.start - row))
            )
            yield from (Page.from_row(values) for values in wanted.to_pylist())
            row += batch.num_rows
            if row >= self.stop:
                return

    def body(self, page: Page) -> bytes:
        """What the page's WARC record holds. Raises InputError where the archive is damaged."""
        path = files.join(self.folder, page.warc_file)
        try:
            body = read_body(path, page.warc_offset, page.warc_length)
        except (WarcError, OSError) as error:
            raise InputError(f"{path}: cannot read {page.url} ({error}); fetch the pages again") from error
        if sha256(body).digest() != page.sha256:
            raise InputError(f"{path}: {page.url} is not what was fetched (its sha256 differs); fetch the pages again")
        return body


def page_ranges(folder: str, manifest: StageManifest) -> list[PageRange]:
    """The work of the stage: every page in exactly one range, cut by the data alone."""
    indexes = manifest.of_kind("pages")
    least, most = PAGES_A_PART
    size = max(least, min(most, sum(index.rows for index in indexes) // PARTS_A_CORPUS))
    return [
        PageRange(folder, index.name, start, min(start + size, index.rows))
        for index in indexes
        for start in range(0, index.rows, size)
    ]

"""The archive files that --fetch-from names, and the index that a crawl of our own has beside them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.records import Page
from pipeline.redaction import REDACTED, redact
from pipeline.storage import files
from tokenizer.errors import InputError

_NAME = re.compile(r".+\.(?:w?arc(?:\.gz|\.zst)?|wacz)", re.IGNORECASE)
_DERIVED = re.compile(r".+\.(?:wet|wat)(?:\.gz)?", re.IGNORECASE)
_OWN_NAME = re.compile(
    r"(pages-\d{5}-of-\d{5}(?:-(?:live|commoncrawl|wayback|warc)|-[jru]\d+)*(?:-a[0-9a-f]{8})?)(?:-\d\d)?\.warc\.gz"
)
_INDEX_COLUMNS = ["url", "final_url", "fetched_at", "status", "warc_file", "warc_offset", "warc_length"]


def archive_files(paths: Sequence[str]) -> list[str]:
    """The archive files that the paths name; a folder stands for all archives below it. Raises InputError where there are none."""
    archives: list[str] = []
    for path in paths:
        if _is_folder(path):
            below = sorted(str(p) for p in _files_below(path) if _NAME.fullmatch(p.name))
            if not below:
                raise InputError(
                    f"--fetch-from {path}: no *.warc or *.arc file below it (nor .gz or .zst of one), and no *.wacz file"
                )
            archives += below
        elif not files.exists(path):
            raise InputError(f"--fetch-from {path}: no such file or folder")
        elif _DERIVED.fullmatch(files.base_name(path)):
            raise InputError(
                f"--fetch-from {path}: a WET or WAT file, which holds no pages; name the WARC file that it was made of"
            )
        else:
            archives.append(path)
    return archives


def skipped_files(paths: Sequence[str]) -> int:
    """Number of files that are skipped in the folders among the paths, since their names are not those of archives."""
    return sum(not _NAME.fullmatch(p.name) for path in paths if _is_folder(path) for p in _files_below(path))


def own_indexes(path: str) -> list[str]:
    """The pages indexes beside a WARC file of a crawl of our own that may name its records; none for the archives of others.

    An update of the crawl writes all indexes anew, each with pages of several WARC files.
    """
    match = _OWN_NAME.fullmatch(files.base_name(path))
    if not match:
        return []
    folder = path.removesuffix(files.base_name(path))
    index = f"{folder}{match[1]}.parquet"
    indexes = [index] if files.exists(index) else [i for i in files.listing(folder, "pages-") if i.endswith(".parquet")]
    return [index for index in indexes if set(_INDEX_COLUMNS) <= set(files.read_schema(index).names)]


def redacted_pages(path: str) -> Iterator[Page]:
    """The pages in a WARC file of our own whose links its records do not name: the URLs there are without keys and passwords."""
    for index in own_indexes(path):
        for batch in files.record_batches(index, Page.SCHEMA.names):
            for row in batch.to_pylist():
                page = Page.from_row(row)
                if page.warc_file == files.base_name(path) and (
                    redact(page.url) != page.url or REDACTED in page.url + page.final_url
                ):
                    yield page


def _is_folder(path: str) -> bool:
    return files.is_local(path) and Path(path).is_dir()


def _files_below(path: str) -> Iterator[Path]:
    return (p for p in Path(path).rglob("*") if p.is_file())

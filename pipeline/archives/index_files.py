"""The index files that --archive-index names: which kind each is of, and of which crawl."""

import gzip
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.archives.cdxj import BadIndexError, IndexBlock, read_cluster
from pipeline.archives.choose import microseconds
from pipeline.archives.service import ArchiveService, BadAnswerError, GoneError, RangeFile, RefusedError
from pipeline.storage import files
from tokenizer.errors import InputError

COLUMNAR, PLAIN, ZIPNUM = "columnar", "plain", "zipnum"
CLUSTER = "cluster.idx"
PATHS = (".paths", ".paths.gz")
SHARDS_PER_PART = 16
_PLAIN = re.compile(r".+\.(?:cdxj|cdx)(?:\.gz)?|cdx-\d+\.gz|index\.cdxj?", re.IGNORECASE)
_CRAWL = re.compile(r"CC-MAIN-(\d{4})(?:-(\d{4}|\d\d))?(?!\d)")
_LEAD_DAYS, _LASTING_DAYS = 120, 180
"""A crawl named after a week began at most so long before it, and lasted at most so long after it."""
_OTHER_SUBSETS = ("subset=robotstxt", "/robotstxt/")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file of an index: `kind` is one of the three above, `crawl` the crawl's name or the name of the file's folder.

    Of a zipnum index, `path` is the cluster.idx and `shards` are names of files beside it.
    """

    path: str
    kind: str
    crawl: str
    shards: tuple[str, ...] = ()


def is_http(path: str) -> bool:
    """Whether a path is the address of a file on a web server."""
    return path.lower().startswith(("http://", "https://"))


@contextmanager
def open_index(path: str, service: ArchiveService | None) -> Iterator[BinaryIO]:
    """A seekable file: local, in an object store, or on a web server. Raises InputError for what is not there."""
    if is_http(path):
        if service is None:
            raise InputError(f"{path}: an index on a web server needs a client")
        try:
            yield cast("BinaryIO", RangeFile(service, path))
        except (GoneError, BadAnswerError, RefusedError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        return
    with files.open_input(path) as file:
        yield file


def find_index_files(paths: Sequence[str], base: str, service: ArchiveService | None = None) -> list[IndexFile]:
    """The index files that the paths name, in order: files, folders with all files below them, and lists of files.

    A list (*.paths, *.paths.gz) names a file a line, as Common Crawl's cc-index-table.paths.gz does, relative to `base`. Raises
    InputError for a path that names no index.
    """
    found: list[IndexFile] = []
    for path in paths:
        names = list(_files_of(path, base, service))
        kept = [name for name in names if not any(part in name for part in _OTHER_SUBSETS)]
        entries = [entry for name in kept for entry in _entries(name, names, service)]
        if not entries:
            raise InputError(
                f"--archive-index {path}: no index of captures: give Parquet files of a columnar index, CDXJ files, or a folder with a"
                f" {CLUSTER}"
            )
        found += entries
    return found


def _files_of(path: str, base: str, service: ArchiveService | None) -> Iterator[str]:
    if path.endswith(PATHS):
        with open_index(path, service) as file:
            data = file.read()
        text = (gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8", "replace")
        for line in filter(None, map(str.strip, text.splitlines())):
            yield line if "://" in line or not base else f"{base.rstrip('/')}/{line.lstrip('/')}"
    elif is_http(path) or (files.is_local(path) and Path(path).is_file()):
        yield path
    elif files.is_local(path) and not Path(path).exists():
        raise InputError(f"--archive-index {path}: no such file or folder")
    else:
        below = files.names_below(path)
        yield from (files.join(path, name) for name in below) if below else iter([path])


def _entries(path: str, names: Sequence[str], service: ArchiveService | None) -> Iterator[IndexFile]:
    name, folder = files.base_name(path), path.rpartition("/")[0]
    if name.endswith(".parquet"):
        yield IndexFile(path, COLUMNAR, crawl_of(path))
    elif name == CLUSTER:
        with open_index(path, service) as file:
            shards = sorted({block.shard for block in clusters(path, file.read())})
        for at in range(0, len(shards), SHARDS_PER_PART):
            yield IndexFile(path, ZIPNUM, crawl_of(path), tuple(shards[at : at + SHARDS_PER_PART]))
    elif _PLAIN.fullmatch(name) and f"{folder}/{CLUSTER}" not in names and not _beside_cluster(path):
        yield IndexFile(path, PLAIN, crawl_of(path))


def _beside_cluster(path: str) -> bool:
    """Whether a file is a shard of a zipnum index, whose cluster.idx lies beside it."""
    if is_http(path) or not re.fullmatch(r"cdx-\d+\.gz", files.base_name(path)):
        return False
    return files.exists(f"{path.rpartition('/')[0] or '.'}/{CLUSTER}")


def clusters(path: str, data: bytes) -> list[IndexBlock]:
    """The blocks of a cluster.idx. Raises InputError."""
    try:
        return read_cluster(data)
    except BadIndexError as error:
        raise InputError(f"{path}: {error}") from error


def crawl_of(path: str) -> str:
    """The crawl that a path names, else the name of its folder.

    >>> crawl_of("table/crawl=CC-MAIN-2017-51/subset=warc/part-0.parquet"), crawl_of("mine/index.cdxj")
    ('CC-MAIN-2017-51', 'mine')
    """
    match = _CRAWL.search(path)
    return match[0] if match else files.base_name(path.rpartition("/")[0]) or "index"


def crawl_span(crawl: str) -> tuple[int, int] | None:
    """The time in which a crawl was made at most, by its name (microseconds); None where the name does not say.

    Names are of a week (CC-MAIN-2017-51), a year (CC-MAIN-2012) or several (CC-MAIN-2009-2010). The margins are wide: this only
    saves opening the index of years that no link is near to.
    """
    match = _CRAWL.fullmatch(crawl)
    if not match:
        return None
    year, part = int(match[1]), int(match[2] or 0)
    try:
        if 0 < part < 100:
            start = last = date.fromisocalendar(year, part, 1)
        else:
            start, last = date(year, 1, 1), date(max(year, part), 12, 31)
    except ValueError:
        return None
    first = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(_LEAD_DAYS)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(_LASTING_DAYS)
    return microseconds(first), microseconds(end)


def fingerprint(index: Sequence[IndexFile]) -> str:
    """sha256 of the names and sizes of index files: their content, hundreds of gigabytes, is not read for it."""
    digest = hashlib.sha256()
    for entry in index:
        size = 0 if is_http(entry.path) else files.size(entry.path)
        digest.update(f"{entry.kind} {entry.crawl} {files.base_name(entry.path)} {size} {','.join(entry.shards)}\n".encode())
    return digest.hexdigest()

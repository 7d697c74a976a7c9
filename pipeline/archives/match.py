"""The join of lookups with one index file: which captures of the links' pages it names."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from pipeline.archives import columnar
from pipeline.archives.cdxj import BadIndexError, IndexRow, block_lines, blocks_with, lines, parse_line
from pipeline.archives.choose import CAPTURE, CaptureRows
from pipeline.archives.index_files import COLUMNAR, PLAIN, IndexFile, clusters, crawl_span, open_index
from pipeline.archives.lookups import Int64, Lookups
from pipeline.archives.matching import HitRows, captures_of, names_array
from pipeline.archives.service import Access, ArchiveService
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.warc_record import WarcError
from pipeline.storage import files
from tokenizer.errors import InputError

CAPTURES, NAMES = "captures", "names"
INDEX_BYTES, INDEX_BYTES_READ = "index_bytes", "index_bytes_read"
BAD_LINES = "bad_index_lines"
ROWS_PER_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class IndexWork:
    """An index file, and the file that lists the sorted lookups (one bucket of keys a line, in the order of the keys)."""

    index: IndexFile
    listing: str


@dataclass(frozen=True, slots=True)
class MatchIndex:
    """Finds the captures of all lookups in one index file.

    They are spilled by bucket of links, `links_per_bucket` each; the names of their WARC files by a hash of the name.
    """

    access: Access
    hop: int
    links_per_bucket: int
    link_buckets: int
    warc_buckets: int

    def __call__(self, part: Part[IndexWork], writer: PartWriter) -> None:
        """Read what is needed of the file. Raises InputError for one that is damaged, or no index."""
        found: list[CaptureRows] = [np.empty(0, CAPTURE)]
        names: dict[int, str] = {}
        service = self.access.service()
        try:
            for path in shuffle.read_paths(part.work.listing):
                lookups = _within(Lookups(files.read_table(path)), part.work.index)
                if len(lookups):
                    found += _captures(part.work.index, lookups, names, service, writer)
        except (BadIndexError, pa.ArrowException) as error:
            raise InputError(
                f"{part.work.index.path}: {str(error).splitlines()[0]}; get the file anew, or leave it out"
            ) from error
        finally:
            service.close()
        writer.advance()
        captures = np.concatenate(found)
        shuffle.write_run(
            writer, f"{CAPTURES}-{self.hop}", captures, captures["link"] // self.links_per_bucket, self.link_buckets
        )
        named = names_array(names)
        buckets = (named["warc"] % np.uint64(self.warc_buckets)).astype(np.int64)
        shuffle.write_run(writer, f"{NAMES}-{self.hop}", named, buckets, self.warc_buckets)


def _within(lookups: Lookups, index: IndexFile) -> Lookups:
    """The lookups that admit a capture of the index's crawl, as far as its name says when it was made."""
    span = crawl_span(index.crawl)
    if span is None or not len(lookups):
        return lookups
    kept = (lookups.low <= span[1]) & (lookups.high >= span[0])
    return lookups if kept.all() else lookups.where(kept)


def _captures(
    index: IndexFile, lookups: Lookups, names: dict[int, str], service: ArchiveService, writer: PartWriter
) -> list[CaptureRows]:
    """The captures of one bucket's lookups in one index file."""
    if index.kind != COLUMNAR:
        return [captures_of(lookups, found, rows, names) for found, rows in _cdxj_hits(index, lookups, service, writer)]
    with open_index(index.path, service) as file:
        counted = CountingFile(file)
        found = [captures_of(lookups, keys, rows, names) for keys, rows in columnar.hits(counted.buffered(), lookups)]
        writer.counters[INDEX_BYTES_READ] += counted.bytes_read
        writer.counters[INDEX_BYTES] = counted.size()
    return found


def _cdxj_hits(
    index: IndexFile, lookups: Lookups, service: ArchiveService, writer: PartWriter
) -> Iterator[tuple[Int64, HitRows]]:
    keys = lookups.distinct[0]
    place = {key: i for i, key in enumerate(keys.to_pylist())}
    rows: list[IndexRow] = []
    for line in _plain_lines(index, service, writer) if index.kind == PLAIN else _zipnum_lines(index, lookups, service, writer):
        if line.partition(b" ")[0].decode("utf-8", "replace") in place:
            try:
                rows.append(parse_line(line))
            except (ValueError, KeyError, TypeError, WarcError):
                writer.counters[BAD_LINES] += 1
        if len(rows) == ROWS_PER_BATCH:
            yield np.array([place[row.key] for row in rows], np.int64), HitRows.of(rows)
            rows = []
    if rows:
        yield np.array([place[row.key] for row in rows], np.int64), HitRows.of(rows)


def _plain_lines(index: IndexFile, service: ArchiveService, writer: PartWriter) -> Iterator[bytes]:
    with open_index(index.path, service) as file:
        counted = CountingFile(file)
        yield from lines(counted.buffered())
        writer.counters[INDEX_BYTES_READ] += counted.bytes_read
        writer.counters[INDEX_BYTES] = counted.size()


def _zipnum_lines(index: IndexFile, lookups: Lookups, service: ArchiveService, writer: PartWriter) -> Iterator[bytes]:
    """The lines of the blocks that may hold a wanted key."""
    with open_index(index.path, service) as file:
        blocks = clusters(index.path, file.read())
    writer.counters[INDEX_BYTES] = sum(block.length for block in blocks if block.shard in index.shards)
    keys = lookups.distinct[0].to_pylist()
    folder = index.path.rpartition("/")[0]
    for shard in index.shards:
        wanted = blocks_with(blocks, keys, shard)
        if not wanted:
            continue
        with open_index(f"{folder}/{shard}" if folder else shard, service) as file:
            for block in wanted:
                file.seek(block.offset)
                data = file.read(block.length)
                writer.counters[INDEX_BYTES_READ] += len(data)
                yield from block_lines(data)


class CountingFile(io.RawIOBase):
    """A file that counts the bytes read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes_read = 0

    def buffered(self) -> BinaryIO:
        """The file, for readers that ask for as much as they need."""
        return self  # type: ignore[return-value]

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, counted."""
        data = self._file.read(-1 if size is None else size)
        self.bytes_read += len(data)
        return data

    def size(self) -> int:
        """Size of the file."""
        at = self._file.tell()
        end = self._file.seek(0, io.SEEK_END)
        self._file.seek(at)
        return end

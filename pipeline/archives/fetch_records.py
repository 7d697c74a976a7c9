"""The records of one part read from the archive: WARC file by WARC file, neighbours in one request; a journal keeps them."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import IO, Any

import numpy as np
import pyarrow as pa

from pipeline.archives.capture_heads import append_result, check_results, result_of
from pipeline.archives.choose import CAPTURE, CaptureRows, instant_at
from pipeline.archives.index_files import is_http
from pipeline.archives.matching import NAME, tried_entry
from pipeline.archives.ranges import Piece, gap_bytes, plan
from pipeline.archives.records import (
    DROP,
    FAILURE,
    PAGE,
    REDIRECT,
    RESULT,
    RESULTS,
    CaptureResult,
    RecordError,
    classify,
    digest_text,
    read_member,
    result,
    wanted_of,
)
from pipeline.archives.service import Access, ArchiveService, BadAnswerError, GoneError, RefusedError
from pipeline.engine import shuffle
from pipeline.engine.parts import Part
from pipeline.engine.shuffle import RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.pages.archive_index import hash64
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import PageDrop
from pipeline.pages.settings import PagesSettings
from pipeline.storage import files

MOVED = "archive-moved"
MOVED_ROW = pa.schema([("link", pa.int64()), ("target", pa.string()), ("tried", pa.binary())])
"""A link whose capture sends to another URL, and that capture (an entry of a lookup's `tried`)."""
REQUESTS, BYTES = "archive_requests", "archive_bytes"
BYTES_PER_BATCH = 32 << 20


@dataclass(frozen=True, slots=True)
class FetchWork:
    """The captures of a part's WARC files, and the names of those files."""

    captures: RunSlices
    names: RunSlices


class Store:
    """The WARC files of an archive: below an address, or in a folder of any file system."""

    def __init__(self, base: str, service: ArchiveService) -> None:
        self._base, self._service = base, service

    def path(self, warc: str) -> str:
        """The file's address or path."""
        return f"{self._base.rstrip('/')}/{warc.lstrip('/')}" if "://" in self._base else files.join(self._base, warc)

    def read(self, warc: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop`; fewer at the file's end. Raises GoneError, BadAnswerError, RefusedError, OutageError."""
        path = self.path(warc)
        if is_http(path):
            return self._service.read_range(path, start, stop)
        is_remote = not files.is_local(path)
        with self._service.limit.request() if is_remote else nullcontext():
            self._service.requests += is_remote
            try:
                with files.open_input(path) as file:
                    file.seek(start)
                    return file.read(stop - start)
            except OSError as error:
                if isinstance(error, FileNotFoundError) or not files.exists(path):
                    raise GoneError(f"no such file: {path}") from error
                raise


@dataclass(frozen=True, slots=True)
class FetchRecords:
    """Reads the chosen capture of each link; attempt by attempt, redirect by redirect."""

    settings: PagesSettings
    access: Access
    base: str
    hop: int
    attempt: int

    def __call__(self, part: Part[FetchWork], writer: PartWriter) -> None:
        """Read what the journal lacks, then spill the results sorted by link, and the redirects to look up."""
        captures = np.sort(shuffle.entries(part.work.captures, CAPTURE), order=["warc", "offset", "link"])
        names = {int(row["warc"]): row["name"].decode() for row in shuffle.entries(part.work.names, NAME)}
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            check_results(journal, captures, names, self.hop, self.attempt)
            writer.advance(len(journal.entries))
            missing = captures[[str(link) not in journal.entries for link in captures["link"].tolist()]]
            with self.access.service() as service:
                store = Store(self.base, service)
                for warc, rows in groupby(missing, key=lambda row: int(row["warc"])):
                    for row, member, failure in self._read_file(store, names[warc], np.array(list(rows), CAPTURE)):
                        append_result(journal, self._outcome(row, names[warc], member, failure))
                        writer.advance()
                writer.timings[REQUESTS] += service.requests
                writer.timings[BYTES] += service.bytes
            self._publish(journal, writer)

    def _read_file(self, store: Store, name: str, rows: CaptureRows) -> Iterator[tuple[Any, bytes, RecordError | None]]:
        """(capture, bytes, failure) of each record of one WARC file."""
        gap = gap_bytes(self.access.requests_per_second)
        for piece in plan([(int(row["offset"]), int(row["length"])) for row in rows], gap):
            yield from self._read_piece(store, name, rows, piece)

    def _read_piece(
        self, store: Store, name: str, rows: CaptureRows, piece: Piece
    ) -> Iterator[tuple[Any, bytes, RecordError | None]]:
        """The records of one piece. Where its answer is of no use, each record is asked for by itself."""
        try:
            data = store.read(name, piece.start, piece.stop)
        except GoneError as error:
            yield from ((rows[i], b"", RecordError(PageDrop.ARCHIVE_GONE, str(error))) for i in piece.records)
            return
        except RefusedError as error:
            yield from ((rows[i], b"", RecordError(PageDrop.ARCHIVE_REFUSED, str(error))) for i in piece.records)
            return
        except BadAnswerError as error:
            data, failure = b"", str(error)
        else:
            failure = ""
        if len(data) < piece.stop - piece.start and len(piece.records) > 1:
            for i in piece.records:
                alone = Piece(int(rows[i]["offset"]), int(rows[i]["offset"] + rows[i]["length"]), (i,))
                yield from self._read_piece(store, name, rows, alone)
            return
        for i in piece.records:
            start = int(rows[i]["offset"]) - piece.start
            member = data[start : start + int(rows[i]["length"])]
            yield rows[i], member, RecordError(PageDrop.BAD_RECORD, failure) if failure else None

    def _outcome(self, row: Any, name: str, member: bytes, failure: RecordError | None) -> CaptureResult:
        """The result of one capture."""
        wanted = wanted_of(row)
        kind, target = FAILURE, ""
        reason: PageDrop | None
        try:
            if failure:
                raise failure
            record = read_member(member, wanted)
            kind, reason, detail, target = classify(record, self.settings.kept_types)
        except RecordError as error:
            reason, detail = error.reason, str(error)
            kind = DROP if reason == PageDrop.ARCHIVE_REFUSED else FAILURE
        if kind == REDIRECT and self.hop >= self.settings.max_redirects:
            kind, reason, detail = DROP, PageDrop.TOO_MANY_REDIRECTS, f"more than {self.settings.max_redirects}"
        return result(int(row["link"]), self.hop, self.attempt, kind, reason, detail) | {
            "target": target,
            "warc": name,
            "offset": wanted.offset,
            "length": wanted.length,
            "digest": digest_text(bytes(row["digest"])),
            "captured_at": instant_at(int(row["captured_at"])),
            "fetched_at": self.settings.now(),
            "member": member if kind in (PAGE, REDIRECT) else None,
        }

    def _publish(self, journal: Journal, writer: PartWriter) -> None:
        """Spill the journal's results, sorted by link, and the redirects among them."""
        keys = sorted(journal.entries, key=int)
        write = partial(_write_results, journal, keys)
        writer.publish(RESULTS, len(keys), write, writer.spill_name(writer.name(RESULTS, files.ARROW_SUFFIX)))
        moved = []
        for key in keys:
            row = result_of(journal, key)
            if row["kind"] == REDIRECT:
                tried = tried_entry(hash64(row["warc"]), row["offset"])
                moved.append({"link": row["link"], "target": row["target"], "tried": tried})
        writer.spill_table(MOVED, pa.Table.from_pylist(moved, schema=MOVED_ROW))


def _write_results(journal: Journal, keys: Sequence[str], file: IO[bytes]) -> None:
    """Write the journal's entries as an Arrow file, a batch of some 32 MB at a time."""
    with pa.ipc.new_file(file, RESULT) as sink:
        batch: list[CaptureResult] = []
        size = 0
        for key in keys:
            row = result_of(journal, key)
            batch.append(row)
            size += len(row["member"] or b"")
            if size > BYTES_PER_BATCH:
                sink.write_batch(pa.RecordBatch.from_pylist(batch, schema=RESULT))
                batch, size = [], 0
        sink.write_batch(pa.RecordBatch.from_pylist(batch, schema=RESULT))


def read_results(path: str, first: int, last: int, columns: Sequence[str] | None = None) -> Iterator[CaptureResult]:
    """The results of the links from `first` to `last` (excluded) in a file sorted by link."""
    with files.open_batches(path) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            links = np.asarray(batch.column(0))
            start, stop = np.searchsorted(links, (first, last))
            if start < stop:
                part = batch.slice(start, stop - start)
                yield from (part if columns is None else part.select(list(columns))).to_pylist()

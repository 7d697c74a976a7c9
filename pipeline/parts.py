"""A stage's work, a part at a time: exactly once out of at-least-once.

A part reads what it is told, publishes its files, and last its receipt. A receipt that stands is never worked again, on a retry, after a
crash or on another worker; a part without one is worked anew and gives the same bytes under the same names. Books are kept in receipts.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar, cast

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import PCollection
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline import files
from pipeline.manifest import Books, FileEntry, Input
from pipeline.records import Drop

T = TypeVar("T")
PROGRESS_SECONDS = 0.5
DROPS_A_BATCH = 8192
WORK_FOLDER = ".work"


@dataclass(frozen=True, slots=True)
class Part:
    """A unit of a stage's work. `key` is unique in its phase and names its files; `items` is its size, for the progress line."""

    key: str
    work: Any
    items: int = 1


def numbered(works: Iterable[T], items: Callable[[T], int] = lambda _: 1) -> list[Part]:
    """Parts with the keys 00000-of-00003 … in the order given."""
    works = list(works)
    return [Part(f"{i:05d}-of-{len(works):05d}", work, items(work)) for i, work in enumerate(works)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a phase of a stage writes, and under which settings and inputs: their hash guards every receipt."""

    stage: str
    folder: str
    phase: str
    fingerprint: str

    @classmethod
    def of(cls, stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input]) -> "Place":
        """The first place of a stage; `.next(phase)` gives the others."""
        key = {"stage": stage, "settings": settings, "inputs": {name: i.sha256 for name, i in inputs.items()}}
        return cls(stage, folder, "main", hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest())

    def next(self, phase: str) -> "Place":
        """The same stage's place of another phase."""
        return Place(self.stage, self.folder, phase, self.fingerprint)

    @property
    def work_folder(self) -> str:
        """Receipts, progress, spills: removed when the stage is done."""
        return files.join(self.folder, WORK_FOLDER, self.fingerprint[:16], self.phase)

    def receipt_path(self, key: str) -> str:
        """Of the part `key`."""
        return files.join(self.work_folder, f"{key}.receipt.json")

    def progress_path(self, key: str) -> str:
        """Of the part `key`: its items so far, a plain number."""
        return files.join(self.work_folder, f"{key}.progress")

    @property
    def errors_folder(self) -> str:
        """What ended parts, in a folder of its own: it is looked at before each part, and among a million receipts that would take long."""
        return files.join(self.work_folder, "errors")

    def error_path(self, key: str) -> str:
        """Of the part `key`: the one line of an InputError that ended it."""
        return files.join(self.errors_folder, f"{key}.error")

    def disk_error_path(self, number: int) -> str:
        """An empty file whose name tells the errno of a part's disk: a full one has no room for more."""
        return files.join(self.errors_folder, f"{number}.disk")

    def disk_errors(self) -> list[int]:
        """The errnos of disks that ended parts."""
        if not files.is_local(self.work_folder):
            return []
        return sorted(int(path.stem) for path in Path(self.errors_folder).glob("*.disk"))

    def told_errors(self) -> list[str]:
        """The lines of InputErrors that ended parts, by the parts' keys."""
        return [files.read_bytes(path).decode() for path in files.matching(self.error_path("*"))]

    def make(self) -> None:
        """Its folders, and no error of an earlier run in them."""
        files.make_folder(self.errors_folder)
        for path in files.matching(files.join(self.errors_folder, "*")):
            files.remove(path)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a finished part published, and its books. `timings` are counts that a clock made: they reach run.json, never the manifest."""

    key: str
    items: int
    files: tuple[FileEntry, ...]
    books: Books
    counters: dict[str, int] = field(default_factory=dict)
    timings: dict[str, int] = field(default_factory=dict)

    def save(self, place: Place) -> None:
        """Publish it: the part is done. What it tells of was synced before; a receipt that a power cut takes costs its part alone."""
        data = json.dumps(asdict(self), sort_keys=True).encode()
        files.publish(place.receipt_path(self.key), lambda file: file.write(data), kept=False)

    @classmethod
    def load(cls, place: Place, key: str) -> Self:
        """The receipt of a finished part."""
        data = json.loads(files.read_bytes(place.receipt_path(key)))
        return cls(
            data["key"],
            data["items"],
            tuple(FileEntry(**e) for e in data["files"]),
            Books(**data["books"]),
            data["counters"],
            data["timings"],
        )

    def path(self, place: Place, kind: str) -> str:
        """Where its one file of `kind` stands."""
        (entry,) = (e for e in self.files if e.kind == kind)
        return files.join(place.folder, entry.name)


def stands(place: Place, key: str) -> bool:
    """Whether a part is done: its receipt is there, and so are its spills; neither is synced: a power cut may leave them empty."""
    if not files.exists(place.receipt_path(key)):
        return False
    if not files.is_local(place.folder):
        return True
    try:
        receipt = Receipt.load(place, key)
    except ValueError:  # not whole
        return False
    spills = [entry for entry in receipt.files if _is_spill(entry.name)]
    return all(files.exists(path := files.join(place.folder, spill.name)) and files.size(path) == spill.bytes for spill in spills)


def _is_spill(name: str) -> bool:
    return name.startswith(WORK_FOLDER)


class TableSink:
    """A Parquet file that grows a batch at a time and is published when its part is done. Equal rows give equal bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        options = {"compression": "zstd", "store_schema": True, "write_batch_size": files.PARQUET_ROWS_A_CHECK}
        self._writer = pq.ParquetWriter(file, schema, **options)
        self.schema = schema
        self.rows = 0

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows: each call is one row group, so that callers choose the batch."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        self._writer.write_table(table.cast(self.schema), row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class PartWriter:
    """What a part's work writes through: files, drops, counters, books, progress.

    Set `items_in` and `items_out`; drops are counted as they are told. Names are relative to the stage's folder; `spill` names lie in the
    work folder, for a later phase. An error in a `with` block of it takes back all files that are not published.
    """

    def __init__(self, place: Place, part: Part) -> None:
        self.place = place
        self.key = part.key
        self.items_in = 0
        self.items_out = 0
        self.counters: Counter[str] = Counter()
        self.timings: Counter[str] = Counter()
        self._part = part
        self._dropped: Counter[str] = Counter()
        self._drops: list[Drop] = []
        self._drop_sink: TableSink | None = None
        self._entries: list[FileEntry] = []
        self._open = ExitStack()
        self._advanced = 0
        self._told = 0.0

    def name(self, kind: str, suffix: str = ".parquet") -> str:
        """`documents-00001-of-00004.parquet`: a function of the part alone."""
        return f"{kind}-{self.key}{suffix}"

    def publish(self, kind: str, rows: int, write: Callable[[IO[bytes]], object], name: str | None = None) -> None:
        """Let `write` fill one file; it is published with the receipt."""
        name = name or self.name(kind)
        writer = self._opened(name)
        write(cast("IO[bytes]", writer))
        digest = writer.digest()
        self._entries.append(FileEntry(name, kind, rows, digest.bytes, digest.sha256))

    def publish_table(self, kind: str, table: pa.Table, name: str | None = None) -> None:
        """The same for a table, as Parquet."""
        options = files.parquet_options(table.schema)
        self.publish(
            kind,
            table.num_rows,
            lambda f: pq.write_table(table, f, row_group_size=files.PARQUET_ROWS_A_GROUP, **options),
            name,
        )

    def spill_table(self, kind: str, table: pa.Table) -> None:
        """The same for a table that later phases map."""
        name = self.spill_name(self.name(kind, files.ARROW_SUFFIX))
        self.publish(kind, table.num_rows, lambda file: files.write_arrow(file, table), name)

    def table(self, kind: str, schema: pa.Schema, name: str | None = None) -> TableSink:
        """A Parquet file to fill a batch at a time; it is published with the receipt."""
        name = name or self.name(kind)
        writer = self._opened(name)
        sink = TableSink(writer, schema)  # type: ignore[arg-type]

        def finish() -> None:
            sink.close()
            digest = writer.digest()
            self._entries.append(FileEntry(name, kind, sink.rows, digest.bytes, digest.sha256))

        self._open.callback(finish)
        return sink

    def spill_name(self, name: str) -> str:
        """The stage-relative name of a file that only a later phase reads."""
        return f"{WORK_FOLDER}/{self.place.fingerprint[:16]}/{self.place.phase}/{name}"

    def drop(self, drop: Drop) -> None:
        """Write down an item that goes no further."""
        self._dropped[str(drop.reason)] += 1
        self._drops.append(drop)
        if len(self._drops) >= DROPS_A_BATCH:
            self._flush_drops()

    def drop_table(self, drops: pa.Table) -> None:
        """Write down many: rows of Drop's schema."""
        self._dropped.update({str(row["values"]): row["counts"] for row in pc.value_counts(drops.column("reason")).to_pylist()})
        self._flush_drops()
        self._sink().write(drops)

    def advance(self, items: int = 1) -> None:
        """Tell the progress line; cheap enough to call for every batch."""
        self._advanced += items
        now = time.monotonic()
        if now - self._told > PROGRESS_SECONDS and files.is_local(self.place.folder):
            self._told = now
            Path(self.place.progress_path(self.key)).write_text(str(self._advanced))

    def commit(self) -> Receipt:
        """Publish all files, check the books, publish the receipt."""
        self._flush_drops()
        self._open.close()
        books = Books(self.items_in, self.items_out, dict(sorted(self._dropped.items())))
        books.check(f"{self.place.stage} {self.key}")
        entries = tuple(sorted(self._entries, key=lambda e: e.name))
        counters = dict(sorted(self.counters.items()))
        receipt = Receipt(self.key, self._part.items, entries, books, counters, dict(self.timings))
        receipt.save(self.place)
        return receipt

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._open.__exit__(*error)  # type: ignore[arg-type]

    def _opened(self, name: str) -> files.HashingWriter:
        return self._open.enter_context(files.publishing(files.join(self.place.folder, name), kept=not _is_spill(name)))

    def _flush_drops(self) -> None:
        if self._drops:
            self._sink().write(Drop.table(self._drops))
            self._drops = []

    def _sink(self) -> TableSink:
        if self._drop_sink is None:
            self._drop_sink = self.table("drops", Drop.SCHEMA, f"drops/{self.name('drops')}")
        return self._drop_sink


Work = Callable[[Part, PartWriter], None]
"""A stage's logic for one part: pickled, so a frozen dataclass with `__call__` or a module's function."""


@dataclass
class RunParts(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts to the keys of finished parts: `work` for each part that has no receipt, spread over all workers."""

    place: Place
    work: Work

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """Spread by a GroupByKey on the part's key: no random key, so a retry finds the same one."""
        keys: PCollection[str] = (
            parts
            | "Key" >> beam.Map(_keyed)
            | "Spread" >> beam.GroupByKey()
            | "Work" >> beam.ParDo(_RunPart(self.place, self.work))
        )
        return keys


def _keyed(part: Part) -> tuple[str, Part]:
    return part.key, part


class _RunPart(beam.DoFn):
    """Works a part while the files of the one before are published: that waits for the disk, some 5 ms a part, and computes nothing."""

    def __init__(self, place: Place, work: Work) -> None:
        self._place = place
        self._work = work

    def setup(self) -> None:
        self._publisher = ThreadPoolExecutor(1, "publisher")

    def start_bundle(self) -> None:
        self._before: Callable[[], Receipt] | None = None

    def process(self, element: tuple[str, Iterable[Part]]) -> Iterator[str]:
        key, (part, *_) = element
        if stands(self._place, key):
            yield key
            return
        writer = self._unless_told(lambda: work_part(self._place, self._work, part))
        with writer or nullcontext():
            yield from self._published()
        if writer:
            self._before = self._publisher.submit(publish_part, writer).result

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for key in self._published():
            yield GlobalWindows.windowed_value(key)

    def teardown(self) -> None:
        self._publisher.shutdown()

    def _published(self) -> Iterator[str]:
        """The key of the part before, if it ended well."""
        before, self._before = self._before, None
        if before and (receipt := self._unless_told(before)):
            _count(self._place.stage, receipt.books)
            yield receipt.key

    def _unless_told(self, step: Callable[[], T]) -> T | None:
        """None where an input is bad or a disk full: a file tells the driver, a runner would bury the one line."""
        if self._place.told_errors() or self._place.disk_errors():
            return None
        try:
            return step()
        except files.InputError:
            return None
        except OSError:
            if not self._place.disk_errors():
                raise
            return None


def run_part(place: Place, work: Work, part: Part) -> Receipt:
    """Work one part to its receipt. An InputError or a disk's errno is left in a file, since runners change exceptions' types."""
    return publish_part(work_part(place, work, part))


def work_part(place: Place, work: Work, part: Part) -> PartWriter:
    """The first half of it: all is written, nothing published."""
    files.make_folder(place.errors_folder)
    with _telling(place, part.key), PartWriter(place, part) as writer:
        work(part, writer)
        return writer


def publish_part(writer: PartWriter) -> Receipt:
    """The second."""
    with _telling(writer.place, writer.key), writer:
        return writer.commit()


@contextmanager
def _telling(place: Place, key: str) -> Iterator[None]:
    try:
        yield
    except files.InputError as error:
        files.publish_bytes(place.error_path(key), str(error).encode())
        raise
    except OSError as error:
        if error.errno in files.DISK_ERRORS and files.is_local(place.work_folder):
            Path(place.disk_error_path(error.errno)).touch()
        raise


def _count(stage: str, books: Books) -> None:
    Metrics.counter(stage, "in").inc(books.items_in)
    Metrics.counter(stage, "out").inc(books.items_out)
    for reason, items in books.dropped.items():
        Metrics.counter(stage, f"dropped_{reason}").inc(items)

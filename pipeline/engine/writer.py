"""What a part's work writes through: files, drops, counters, books, progress."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine.parts import WORK_FOLDER, Part, PhaseFolder, Receipt, is_spill
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry

PROGRESS_SECONDS = 0.5
DROPS_PER_BATCH = 8192


class TableSink:
    """A Parquet file that is written batch by batch and published when its part is done. Equal rows give equal bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        options = {"compression": "zstd", "store_schema": True, "write_batch_size": files.PARQUET_ROWS_PER_CHECK}
        self._writer = pq.ParquetWriter(file, schema, **options)
        self.schema = schema
        self.rows = 0

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows. Each call writes one row group, so the caller chooses its size."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        self._writer.write_table(table.cast(self.schema), row_group_size=max(1, table.num_rows))
        self.rows += table.num_rows

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


class PartWriter:
    """A part's files, drops, counters, books and progress.

    The work sets `items_in` and `items_out`; `drop` counts drops. File names are relative to the stage's folder; `spill_name`
    gives names in the work folder, for a later phase. Leaving the `with` block by an error removes all files that are not
    published.
    """

    def __init__(self, phase: PhaseFolder, part: Part[Any]) -> None:
        self.phase = phase
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
        self._reported = 0.0
        self._attempt = ""

    def fence(self) -> None:
        """Give this attempt's files names of their own, unless it is the part's first: call it before any name is asked for.

        For work that can give other bytes each time. An object store has no lock, and an engine may run a part again while a worker
        that it takes for dead still runs: that worker would replace files which the other's receipt names.
        """
        path = self.phase.attempt_path(self.key)
        if not files.is_local(path) and not files.create_new(path, b""):
            self._attempt = f"-a{uuid.uuid4().hex[:8]}"

    def name(self, kind: str, suffix: str = ".parquet") -> str:
        """`documents-00001-of-00004.parquet`: it depends on the part alone, but for a later attempt that is fenced."""
        return f"{kind}-{self.key}{self._attempt}{suffix}"

    def publish(self, kind: str, rows: int, write: Callable[[IO[bytes]], object], name: str | None = None) -> None:
        """Fill one file by `write`; it is published with the receipt."""
        name = name or self.name(kind)
        writer = self._opened(name)
        write(cast("IO[bytes]", writer))
        digest = writer.digest()
        self._entries.append(FileEntry(name, kind, rows, digest.bytes, digest.sha256))

    def publish_table(self, kind: str, table: pa.Table, name: str | None = None) -> None:
        """Write a table as a Parquet file; it is published with the receipt."""
        options = files.parquet_options(table.schema)
        self.publish(
            kind,
            table.num_rows,
            lambda f: pq.write_table(table, f, row_group_size=files.PARQUET_ROWS_PER_GROUP, **options),
            name,
        )

    def spill_table(self, kind: str, table: pa.Table) -> None:
        """Write a table as an uncompressed Arrow file in the work folder, for later phases to map."""
        name = self.spill_name(self.name(kind, files.ARROW_SUFFIX))
        self.publish(kind, table.num_rows, lambda file: files.write_arrow(file, table), name)

    def table(self, kind: str, schema: pa.Schema, name: str | None = None) -> TableSink:
        """Open a Parquet file to write batch by batch; it is published with the receipt."""
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
        """The stage-relative name of a file that only later phases read."""
        attempt = f"attempt{self._attempt}/" if self._attempt else ""
        return f"{WORK_FOLDER}/{self.phase.fingerprint[:16]}/{self.phase.name}/{attempt}{name}"

    def drop(self, drop: Drop) -> None:
        """Record an item that goes no further, with its reason."""
        self._dropped[str(drop.reason)] += 1
        self._drops.append(drop)
        if len(self._drops) >= DROPS_PER_BATCH:
            self._flush_drops()

    def drop_table(self, drops: pa.Table) -> None:
        """Record a table of drops in Drop's schema."""
        self._dropped.update({str(row["values"]): row["counts"] for row in pc.value_counts(drops.column("reason")).to_pylist()})
        self._flush_drops()
        self._sink().write(drops)

    def advance(self, items: int = 1) -> None:
        """Report finished items to the progress line; cheap enough to call for every batch."""
        self._advanced += items
        now = time.monotonic()
        if now - self._reported > PROGRESS_SECONDS and files.is_local(self.phase.folder):
            self._reported = now
            Path(self.phase.progress_path(self.key)).write_text(str(self._advanced))

    def commit(self) -> Receipt:
        """Publish all files, check the books, publish the receipt. Raises RuntimeError where the books do not balance."""
        self._flush_drops()
        self._open.close()
        books = Books(self.items_in, self.items_out, dict(sorted(self._dropped.items())))
        books.check(f"{self.phase.stage} {self.key}")
        entries = tuple(sorted(self._entries, key=lambda e: e.name))
        counters = dict(sorted(self.counters.items()))
        return Receipt(self.key, self._part.items, entries, books, counters, dict(self.timings)).save(self.phase)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._open.__exit__(*error)  # type: ignore[arg-type]

    def _opened(self, name: str) -> files.HashingWriter:
        return self._open.enter_context(files.publishing(files.join(self.phase.folder, name), kept=not is_spill(name)))

    def _flush_drops(self) -> None:
        if self._drops:
            self._sink().write(Drop.table(self._drops))
            self._drops = []

    def _sink(self) -> TableSink:
        if self._drop_sink is None:
            self._drop_sink = self.table("drops", Drop.SCHEMA, f"drops/{self.name('drops')}")
        return self._drop_sink

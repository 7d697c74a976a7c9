"""TODO-DOC."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engine.parts import WORK_FOLDER, Part, Place, Receipt, _is_spill
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry

PROGRESS_SECONDS = 0.5

DROPS_A_BATCH = 8192


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

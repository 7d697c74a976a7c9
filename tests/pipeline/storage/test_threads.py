"""Files that Python opened are read by the thread that asks. Arrow's own threads may outlive the interpreter: the process then aborts."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.trace import rows_where
from pipeline.dedup.decision import REMOVED, spill_removed
from pipeline.dedup.publish import ShardDecision, removed_rows
from pipeline.links.intake import batch_of
from pipeline.links.spill import SPILL, by_slot, read_slots
from pipeline.storage import files

ROWS = 3 * files.PARQUET_ROWS_PER_GROUP


class Watched(io.FileIO):
    """A file that notes the threads that read it."""

    readers: set[int]

    def read(self, size: int | None = -1) -> bytes:
        self.readers.add(threading.get_ident())
        return super().read(-1 if size is None else size)

    def readinto(self, buffer: object) -> int:
        self.readers.add(threading.get_ident())
        return super().readinto(buffer)  # type: ignore[arg-type, return-value]


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = str(tmp_path / "table.parquet")
    text = [f"a text of row {i}" * 9 for i in range(ROWS)]
    files.publish_table(path, pa.table({"key": pa.array(range(ROWS), pa.int64()), "text": pa.array(text, pa.large_string())}))
    return path


@pytest.fixture
def spill(tmp_path: Path) -> str:
    path = str(tmp_path / "spill.arrow")
    rows = [(i << 22, f"key {i}", f"http://a.example/{i}", "a.example", f"s{i}", "science", 5, 1_500_000_000) for i in range(900)]

    def write(file: IO[bytes]) -> None:
        with pa.ipc.new_file(file, SPILL, options=pa.ipc.IpcWriteOptions(compression="zstd")) as sink:
            for batch in by_slot(pa.Table.from_batches([batch_of(rows)])):
                sink.write_batch(batch)

    files.publish(path, write)
    return path


@pytest.fixture
def removed(tmp_path: Path) -> str:
    path = str(tmp_path / "removed.arrow")
    spill_removed(path, [REMOVED.empty_table()] * 3)
    return path


def readers_of(monkeypatch: pytest.MonkeyPatch, read: Callable[[], object]) -> set[int]:
    """The threads that read files while `read` runs."""
    readers: set[int] = set()

    def open_input(path: str, *, buffered: bool = True) -> Watched:
        file = Watched(path)
        file.readers = readers
        return file

    monkeypatch.setattr(files, "open_input", open_input)
    read()
    return readers


READERS: dict[str, Callable[[str, str, str], object]] = {
    "rows_where": lambda table, _spill, _removed: rows_where([table], "key", [5, ROWS - 1], ["text"]),
    "read_table": lambda table, _spill, _removed: files.read_table(table),
    "read_schema": lambda table, _spill, _removed: files.read_schema(table),
    "record_batches": lambda table, _spill, _removed: list(files.record_batches(table)),
    "read_slots": lambda _table, spill, _removed: read_slots([spill], 0, 9),
    "removed_rows": lambda _table, _spill, removed: list(removed_rows([ShardDecision("", "", removed, i) for i in range(3)])),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_of_ours_reads_in_its_own_thread(
    monkeypatch: pytest.MonkeyPatch, table: str, spill: str, removed: str, reader: str
) -> None:
    assert readers_of(monkeypatch, lambda: READERS[reader](table, spill, removed)) <= {threading.get_ident()}


def test_arrow_reads_files_of_python_by_threads_where_it_filters(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """The reason for `row_groups`: were this no longer so, it could go."""

    def read() -> None:
        with files.open_input(table) as file:
            pq.read_table(file, filters=pc.field("key") == 5, partitioning=None)

    assert readers_of(monkeypatch, read) - {threading.get_ident()}


def test_arrow_reads_arrow_files_of_python_by_threads(monkeypatch: pytest.MonkeyPatch, spill: str) -> None:
    """The reason for `open_batches`: were this no longer so, it could go."""

    def read() -> None:
        with files.open_input(spill) as file:
            pa.ipc.open_file(file).get_batch(0)

    assert readers_of(monkeypatch, read) - {threading.get_ident()}


def test_rows_where_gives_the_rows_that_arrow_gives(table: str) -> None:
    for keys in ([], [0], [ROWS - 1, 7, files.PARQUET_ROWS_PER_GROUP], [ROWS]):
        expected = pq.read_table(table, filters=pc.field("key").isin(pa.array(keys, pa.int64()))).to_pylist()
        assert rows_where([table], "key", keys) == expected
        assert rows_where([table], "key", keys, ["text"]) == [{"text": row["text"]} for row in expected]

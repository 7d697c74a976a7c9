"""Files on any Beam file system, published whole or not at all.

A file is written aside in its own folder, synced, and renamed; the folder is synced after it. Measured: writing in place left 11
of 12 killed writers' files corrupt under their final name, aside-and-rename 0 of 294.
"""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.beam_files import ASIDE_SUFFIX as ASIDE_SUFFIX
from pipeline.storage.columns import HINT, check_schema, check_values
from pipeline.storage.object_store import store
from pipeline.storage.remote import stores
from pipeline.storage.writeback import start_writeback
from tokenizer import untrusted
from tokenizer.errors import InputError

ARROW_SUFFIX = ".arrow"
PARQUET_ROWS_PER_GROUP = 4096
PARQUET_ROWS_PER_CHECK = 64
"""How often Parquet checks whether a page exceeds 1 MB. The default, 1,024 rows, makes pages of many megabytes of text."""
PARQUET_BUFFER_BYTES = 1 << 18
WRITEBACK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and sha256 (hex) of a published file."""

    bytes: int
    sha256: str


class HashingWriter(io.RawIOBase):
    """Passes bytes to `sink` and digests them, so that the hash of a file needs no second reading. A file not `kept` has no hash.

    For a file that will be `synced`, the disk starts to write each finished megabyte, so that the sync has little left to wait
    for. Without that, two workers of dedup waited one second of nine in it, as long as a single worker that writes everything.
    """

    def __init__(self, sink: IO[bytes], *, kept: bool = True, synced: bool = False) -> None:
        self._sink = sink
        self._sha256 = hashlib.sha256() if kept else None
        self._bytes = 0
        self._written_back = 0 if synced else None

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: object) -> int:
        """Write all of `data`."""
        view = memoryview(cast("bytes", data)).cast("B")
        self._sink.write(view)
        if self._sha256:
            self._sha256.update(view)
        self._bytes += len(view)
        if self._written_back is not None and self._bytes - self._written_back >= WRITEBACK_BYTES:
            start_writeback(self._sink.fileno(), self._written_back, self._bytes - self._written_back)
            self._written_back = self._bytes
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._bytes

    def digest(self) -> Digest:
        """Size and hash of all bytes so far."""
        return Digest(self._bytes, self._sha256.hexdigest() if self._sha256 else "")


def is_local(path: str) -> bool:
    """Whether the operating system opens the path itself."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """The path of `names` below `folder`, in the syntax of the folder's file system."""
    return str(Path(folder, *names)) if is_local(folder) else stores(folder).join(folder, *names)


def base_name(path: str) -> str:
    """The last component."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    return Path(path).exists() if is_local(path) else store(path).exists(path)


def is_same(one: str, other: str) -> bool:
    """Whether two paths name one file or folder, by links or in other spellings."""
    if is_local(one) and is_local(other):
        return Path(one).resolve() == Path(other).resolve()
    return one.rstrip("/") == other.rstrip("/")


def make_folder(folder: str) -> None:
    """Make the folder and its parents, unless they exist."""
    if is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


def open_input(path: str, *, buffered: bool = True) -> BinaryIO:
    """Open a file for reading its raw bytes: Beam guesses no compression from the name. `buffered` reads a local file ahead."""
    if not is_local(path):
        return store(path).open_reader(path)
    return Path(path).open("rb") if buffered else cast("BinaryIO", io.FileIO(path))


def read_bytes(path: str, most_bytes: int | None = None) -> bytes:
    """The whole file. With `most_bytes`, raises ValueError for a larger one and for what is not a regular file."""
    if not is_local(path):
        return store(path).read(path, most_bytes)
    return Path(path).read_bytes() if most_bytes is None else untrusted.read_file(path, most_bytes)


def size(path: str) -> int:
    """Size of a file in bytes."""
    return Path(path).stat().st_size if is_local(path) else store(path).size(path)


def listing(folder: str, prefix: str = "") -> list[str]:
    """Sorted paths of the files in a folder, not below it, whose names begin with `prefix`. Empty if there is no such folder."""
    if is_local(folder):
        present = (path.name for path in Path(folder).iterdir() if path.is_file()) if Path(folder).is_dir() else iter(())
    else:
        present = (name for name, _ in store(folder).sizes_below(folder, prefix) if "/" not in name)
    return sorted(join(folder, name) for name in present if name.startswith(prefix))


def names(folder: str) -> list[str]:
    """Sorted names of the files and folders in a folder. Empty if there is no such folder."""
    if is_local(folder):
        return sorted(path.name for path in Path(folder).iterdir()) if Path(folder).is_dir() else []
    return sorted({name.partition("/")[0] for name, _ in store(folder).sizes_below(folder)})


def names_below(folder: str) -> list[str]:
    """Names, relative to a folder, of all files below it. Empty if there is no such folder."""
    return sorted(sizes_below(folder))


def sizes_below(folder: str) -> dict[str, int]:
    """Names, relative to a folder, and sizes of all files below it: one question of an object store per thousand objects."""
    if is_local(folder):
        return {str(path.relative_to(folder)): path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()}
    return dict(store(folder).sizes_below(folder))


def fingerprint(path: str) -> str:
    """sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(1 << 18):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def publishing(path: str, *, kept: bool = True) -> Iterator[HashingWriter]:
    """A writer whose bytes appear at `path` when the block ends without an error; until then readers see the previous file, if
    any.

    A file not `kept` beyond the run is neither hashed nor synced: after a power cut it may exist and be empty.
    """
    if not is_local(path):
        with store(path).creating(path) as sink:
            yield HashingWriter(sink, kept=kept)
        return
    folder, name = path.rsplit("/", 1) if "/" in path else (".", path)
    make_folder(folder)
    aside = join(folder, f".{name}.{uuid.uuid4().hex}{ASIDE_SUFFIX}")
    try:
        with Path(aside).open("wb") as sink:
            yield HashingWriter(sink, kept=kept, synced=kept)
            if kept:
                sink.flush()
                os.fsync(sink.fileno())
        _rename(aside, path, folder, synced=kept)
    except BaseException:
        remove(aside)
        raise


def publish(path: str, write: Callable[[IO[bytes]], object], *, kept: bool = True) -> Digest:
    """Let `write` fill the file at `path`; readers see the whole file or none. Returns size and hash."""
    with publishing(path, kept=kept) as writer:
        write(cast("IO[bytes]", writer))
    return writer.digest()


def publish_bytes(path: str, data: bytes) -> Digest:
    """Publish `data` as the file at `path`. Returns size and hash."""
    return publish(path, lambda file: file.write(data))


def publish_table(path: str, table: pa.Table, *, kept: bool = True) -> Digest:
    """Publish a table as Parquet, with zstd if it is `kept`. Equal tables give equal bytes."""

    def write(file: IO[bytes]) -> None:
        options = {"compression": "zstd" if kept else "none", "store_schema": True, "write_batch_size": PARQUET_ROWS_PER_CHECK}
        pq.write_table(table, file, row_group_size=PARQUET_ROWS_PER_GROUP, **options)

    return publish(path, write, kept=kept)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Options of pyarrow for a kept table: zstd, but plain columns of hashes, which all differ: smaller, and 2.5 times faster."""
    hashes = {field.name for field in schema if pa.types.is_fixed_size_binary(field.type)}
    if not hashes:
        return {"compression": "zstd"}
    others = [name for name in schema.names if name not in hashes]
    return {"compression": dict.fromkeys(others, "zstd") | dict.fromkeys(hashes, "none"), "use_dictionary": others}


def write_arrow(file: IO[bytes], table: pa.Table) -> None:
    """Write an Arrow IPC file (.arrow), uncompressed, in one batch: readers of a spill map it instead of decoding it."""
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file or its named columns as a table; a file of `write_arrow` as a view, which maps the file while the table
    lives.

    Unlike `pq.read_table`, it does not load Arrow's dataset library, which takes megabytes.
    """
    with decoding(path):
        if path.endswith(ARROW_SUFFIX):
            with _open_arrow(path) as reader:
                check_schema(path, reader.schema, columns)
                table = reader.read_all()
                table = table if columns is None else table.select(columns)
        else:
            with open_input(path) as file:
                parquet = pq.ParquetFile(file, pre_buffer=False)
                check_schema(path, parquet.schema_arrow, columns)
                table = parquet.read(columns, use_threads=False)
        check_values(path, table, spill=path.endswith(ARROW_SUFFIX))
        return table


def read_schema(path: str) -> pa.Schema:
    """The schema, with metadata, of a Parquet file or a file of `write_arrow`."""
    with decoding(path):
        if path.endswith(ARROW_SUFFIX):
            with _open_arrow(path) as reader:
                return reader.schema
        with open_input(path) as file:
            return pq.read_schema(file)


def row_count(path: str) -> int:
    """The number of rows of a Parquet file."""
    with decoding(path), open_input(path) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)


@contextmanager
def open_batches(path: str) -> Iterator[pa.RecordBatchFileReader]:
    """A reader of the record batches of an Arrow file, compressed or not.

    A local file is mapped, another one is read whole: Arrow would read a file that Python opened by a thread of its own (see
    `row_groups`).
    """
    with _open_arrow(path) as reader:
        yield reader


def _open_arrow(path: str) -> pa.RecordBatchFileReader:
    return pa.ipc.open_file(pa.memory_map(path) if is_local(path) else pa.py_buffer(read_bytes(path)))


def record_batches(path: str, columns: list[str] | None = None, rows: int = PARQUET_ROWS_PER_GROUP) -> Iterator[pa.RecordBatch]:
    """Batches of at most `rows` rows of a Parquet file; memory does not grow with the file. One thread: workers are processes."""
    with decoding(path), open_input(path) as file:
        parquet = pq.ParquetFile(file, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False)
        check_schema(path, parquet.schema_arrow, columns)
        for batch in parquet.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            check_values(path, batch)
            yield batch


def row_groups(path: str) -> Iterator[Callable[[list[str] | None], pa.Table]]:
    """For each row group of a Parquet file, a function that reads its named columns, or all for None, before the next is taken.

    `pq.read_table` with filters does as much, but reads ahead by threads of its own. One of them may free a buffer of Python's
    while the interpreter ends, which ends the process by SIGABRT (apache/arrow#34314).
    """
    with decoding(path), open_input(path) as file:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        for number in range(parquet.num_row_groups):
            yield partial(_row_group, path, parquet, number)


def _row_group(path: str, parquet: pq.ParquetFile, number: int, columns: list[str] | None) -> pa.Table:
    """Columns of a row group. Damage is met in the caller's frame, which `row_groups` cannot watch."""
    with decoding(path):
        return parquet.read_row_group(number, columns, use_threads=False)


@contextmanager
def decoding(path: str) -> Iterator[None]:
    """Turn Arrow's errors about damaged bytes into InputErrors that name the file. Errors of a disk or store pass through."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing, though its manifest names it; run its stage again") from error
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise  # of the disk or an object store, not Arrow's: trying again may help
        first = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path}: damaged ({first}); {HINT}") from error


def remove(path: str) -> None:
    """Remove a file, if it exists."""
    remove_all([path])


def create_new(path: str, data: bytes) -> bool:
    """Write a file of an object store unless there is one of this name, which stays. Returns whether it was written."""
    return store(path).create_new(path, data)


def remove_all(paths: Sequence[str]) -> None:
    """Remove files of one file system, those that exist."""
    if not paths:
        return
    if not is_local(paths[0]):
        store(paths[0]).delete(paths)
        return
    for path in paths:
        Path(path).unlink(missing_ok=True)


def remove_folder(folder: str) -> None:
    """Remove a folder and everything below it, if it exists. In an object store: all objects whose names begin with it."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif stores(folder).get_filesystem(folder).has_dirs():
        store(folder).delete([folder])
    else:
        remove_all([join(folder, name) for name, _ in store(folder).sizes_below(folder)])


def move(source: str, target: str) -> None:
    """Put a finished file in the place of another one, or where there is none yet."""
    folder = target.rpartition("/")[0] or "."
    make_folder(folder)
    if is_local(target):
        _rename(source, target, folder, synced=True)
        return
    if target.startswith("hdfs://"):  # an object store's rename replaces the target
        remove(target)
    stores(target).rename([source], [target])


def remove_leftovers(folder: str) -> None:
    """Remove the unfinished files that killed writers left in a folder."""
    if not is_local(folder):
        store(folder).remove_unfinished(folder)
    elif Path(folder).is_dir():
        for aside in Path(folder).rglob(f".*{ASIDE_SUFFIX}"):
            aside.unlink(missing_ok=True)


def _rename(aside: str, path: str, folder: str, *, synced: bool) -> None:
    Path(aside).replace(path)
    if not synced:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

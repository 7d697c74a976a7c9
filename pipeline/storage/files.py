"""Files on any Beam file system, published whole or not at all.

A file is written aside in its own folder, synced, and renamed; the folder is synced after it. Measured: writing in place left 11 of 12
killed writers' files corrupt under their final name, aside-and-rename 0 of 294.
"""

import ctypes
import errno
import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

ASIDE_SUFFIX = ".aside"
ARROW_SUFFIX = ".arrow"
PARQUET_ROWS_A_GROUP = 4096
PARQUET_ROWS_A_CHECK = 64
"""A page ends at the first check that finds it past 1 MB. By default one in 1,024 rows: megabytes of text in a reader's memory."""
PARQUET_BUFFER_BYTES = 1 << 18
BEGUN_AT_ONCE_BYTES = 1 << 20
SYNC_FILE_RANGE_WRITE = 2  # fcntl.h


DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""A disk that is full or fails: nothing of the user's input is wrong, and the same command goes on when it is mended. Exit code 74."""


class InputError(Exception):
    """What the user gave cannot be used; the message is one line that names it and the way out. Commands exit with 2."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Size and sha256 (hex) of a published file."""

    bytes: int
    sha256: str


class HashingWriter(io.RawIOBase):
    """Passes bytes on to `sink` and digests them: the hash of a file costs no second reading. A file not `kept` has no hash.

    Of one that will be `synced` the disk begins to write what is there, every megabyte, so that its sync has little left to wait for: two
    workers of dedup waited a second of nine in it, as long as one that writes all by itself.
    """

    def __init__(self, sink: IO[bytes], *, kept: bool = True, synced: bool = False) -> None:
        self._sink = sink
        self._sha256 = hashlib.sha256() if kept else None
        self._bytes = 0
        self._begun = 0 if synced else None

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: object) -> int:
        """Write all of `data`."""
        view = memoryview(cast("bytes", data)).cast("B")
        self._sink.write(view)
        if self._sha256:
            self._sha256.update(view)
        self._bytes += len(view)
        if self._begun is not None and self._bytes - self._begun >= BEGUN_AT_ONCE_BYTES:
            _begin_writing(self._sink.fileno(), self._begun, self._bytes - self._begun)
            self._begun = self._bytes
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._bytes

    def digest(self) -> Digest:
        """Of all bytes so far."""
        return Digest(self._bytes, self._sha256.hexdigest() if self._sha256 else "")


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux's call of the name, which Python has not; None on other systems."""
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def _begin_writing(descriptor: int, start: int, size: int) -> None:
    """Let the disk begin to write a range of a file, and wait for nothing. An error is left to the sync, which meets it again."""
    if call := _sync_file_range():
        call(descriptor, start, size, SYNC_FILE_RANGE_WRITE)


def is_local(path: str) -> bool:
    """Whether the operating system opens the path itself."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """The path of `names` below `folder`, on its own file system."""
    return str(Path(folder, *names)) if is_local(folder) else FileSystems.join(folder, *names)


def base_name(path: str) -> str:
    """The last component."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def exists(path: str) -> bool:
    """Whether a file or folder stands there."""
    return Path(path).exists() if is_local(path) else FileSystems.exists(path)


def make_folder(folder: str) -> None:
    """Make the folder and those above it; no harm if it stands."""
    if is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


def open_input(path: str, *, buffered: bool = True) -> BinaryIO:
    """The file for reading, as it is: Beam's own guess at compression by name is off. A local one is read ahead if it is `buffered`."""
    if not is_local(path):
        return FileSystems.open(path, compression_type="uncompressed")
    return Path(path).open("rb") if buffered else cast("BinaryIO", io.FileIO(path))


def read_bytes(path: str) -> bytes:
    """The whole file."""
    with open_input(path) as file:
        return file.read()


def size(path: str) -> int:
    """A file's bytes."""
    return Path(path).stat().st_size if is_local(path) else int(FileSystems.match([path])[0].metadata_list[0].size_in_bytes)


def matching(pattern: str) -> list[str]:
    """The paths that match a glob, sorted by name."""
    return sorted(found.path for found in FileSystems.match([pattern])[0].metadata_list)


def fingerprint(path: str) -> str:
    """sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(1 << 18):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def publishing(path: str, *, kept: bool = True) -> Iterator[HashingWriter]:
    """A writer whose bytes stand at `path` once the block ends without an error; until then readers see what stood there.

    What is not `kept` beyond the run is neither hashed nor synced: after a power cut it may be there and empty.
    """
    folder, name = path.rsplit("/", 1) if "/" in path else (".", path)
    make_folder(folder)
    aside = join(folder, f".{name}.{uuid.uuid4().hex}{ASIDE_SUFFIX}")
    try:
        synced = is_local(path) and kept
        with _create(aside) as sink:
            yield HashingWriter(sink, kept=kept, synced=synced)
            if synced:
                sink.flush()
                os.fsync(sink.fileno())
        _rename(aside, path, folder, synced=kept)
    except BaseException:
        remove(aside)
        raise


def publish(path: str, write: Callable[[IO[bytes]], object], *, kept: bool = True) -> Digest:
    """Let `write` fill the file at `path`: readers see the whole of it or nothing. Returns size and hash."""
    with publishing(path, kept=kept) as writer:
        write(cast("IO[bytes]", writer))
    return writer.digest()


def publish_bytes(path: str, data: bytes) -> Digest:
    """The same for bytes at hand."""
    return publish(path, lambda file: file.write(data))


def publish_table(path: str, table: pa.Table, *, kept: bool = True) -> Digest:
    """The same for a table, as Parquet, with zstd if it is kept; equal tables give equal bytes."""

    def write(file: IO[bytes]) -> None:
        options = {"compression": "zstd" if kept else "none", "store_schema": True, "write_batch_size": PARQUET_ROWS_A_CHECK}
        pq.write_table(table, file, row_group_size=PARQUET_ROWS_A_GROUP, **options)

    return publish(path, write, kept=kept)


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How a kept table is written: with zstd, but columns of hashes, all different, as they are: smaller, and 2.5 times as quickly."""
    hashes = {field.name for field in schema if pa.types.is_fixed_size_binary(field.type)}
    if not hashes:
        return {"compression": "zstd"}
    others = [name for name in schema.names if name not in hashes]
    return {"compression": dict.fromkeys(others, "zstd") | dict.fromkeys(hashes, "none"), "use_dictionary": others}


def write_arrow(file: IO[bytes], table: pa.Table) -> None:
    """Fill an Arrow IPC file (.arrow), uncompressed, in one batch: a spill that many read is mapped, not decoded."""
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file as a table, or the named columns of it; of one of `write_arrow` a view. Memory goes with the table.

    `pq.read_table` would load Arrow's datasets, megabytes of library.
    """
    with decoding(path):
        if path.endswith(ARROW_SUFFIX):
            with _open_arrow(path) as reader:
                table = reader.read_all()
                return table if columns is None else table.select(columns)
        with open_input(path) as file:
            return pq.ParquetFile(file).read(columns, use_threads=False)


def read_schema(path: str) -> pa.Schema:
    """The schema of a Parquet file or of one of `write_arrow`, its metadata too."""
    with decoding(path):
        if path.endswith(ARROW_SUFFIX):
            with _open_arrow(path) as reader:
                return reader.schema
        with open_input(path) as file:
            return pq.read_schema(file)


def _open_arrow(path: str) -> pa.RecordBatchFileReader:
    return pa.ipc.open_file(pa.memory_map(path) if is_local(path) else pa.py_buffer(read_bytes(path)))


def record_batches(path: str, columns: list[str] | None = None, rows: int = PARQUET_ROWS_A_GROUP) -> Iterator[pa.RecordBatch]:
    """A Parquet file, a batch of at most `rows` rows at a time: memory does not grow with the file. Workers are processes, not threads."""
    with decoding(path), open_input(path) as file:
        parquet = pq.ParquetFile(file, buffer_size=PARQUET_BUFFER_BYTES, pre_buffer=False)
        yield from parquet.iter_batches(batch_size=rows, columns=columns, use_threads=False)


@contextmanager
def decoding(path: str) -> Iterator[None]:
    """Raises InputError where the file's bytes are not what Arrow can read: it says only what it met, and not where."""
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise  # the disk's or an object store's, not Arrow's: to be tried again, not done again
        first = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{path}: damaged ({first}); `python -m pipeline verify` tells what else is: run its stage again"
        ) from error


def remove(path: str) -> None:
    """Remove a file; no harm if it is not there."""
    if exists(path):
        FileSystems.delete([path])


def remove_folder(folder: str) -> None:
    """Remove a folder and all below it; no harm if it is not there. An object store has no folders, only names that begin alike."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif below := matching(join(folder, "**")):
        FileSystems.delete(below)


def remove_leftovers(folder: str) -> None:
    """Sweep what killed writers left aside in a folder."""
    if is_local(folder) and Path(folder).is_dir():
        for aside in Path(folder).rglob(f".*{ASIDE_SUFFIX}"):
            aside.unlink(missing_ok=True)


def _create(path: str) -> AbstractContextManager[IO[bytes]]:
    if is_local(path):
        return Path(path).open("wb")
    return cast("AbstractContextManager[IO[bytes]]", FileSystems.create(path, compression_type="uncompressed"))


def _rename(aside: str, path: str, folder: str, *, synced: bool) -> None:
    if not is_local(path):
        if path.startswith("hdfs://") and FileSystems.exists(path):  # an object store's rename replaces what stands there
            FileSystems.delete([path])
        FileSystems.rename([aside], [path])
        return
    Path(aside).replace(path)
    if not synced:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files of the other file systems that Beam reaches, such as HDFS, with the functions of `pipeline.storage.s3`."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from pipeline.storage.remote import stores
from tokenizer.untrusted import check_size

ASIDE_SUFFIX = ".aside"


def exists(path: str) -> bool:
    """Whether there is a file or folder."""
    return bool(stores(path).exists(path))


def size(path: str) -> int:
    """Size of a file in bytes."""
    return int(stores(path).get_filesystem(path).size(path))


def read(path: str, most_bytes: int | None = None) -> bytes:
    """The whole file. Raises ValueError for one of more than `most_bytes`, and FileNotFoundError."""
    if not exists(path):
        raise FileNotFoundError(2, "No such file", path)
    if most_bytes is not None:
        check_size(size(path), most_bytes)
    with open_reader(path) as file:
        return file.read()


def open_reader(path: str) -> BinaryIO:
    """A reader of a file's raw bytes: Beam guesses no compression from the name."""
    return stores(path).open(path, compression_type="uncompressed")


def sizes_below(folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Names, relative to a folder of an object store, and sizes of all objects that begin with `prefix`; in HDFS, of its own.

    Beam's public `match` reads a path as a glob: a folder `c[1]` would stand for its neighbour `c1`. `_list` takes exact names.
    """
    system = stores(folder).get_filesystem(folder)
    if system.has_dirs():
        if system.exists(folder):
            yield from ((found.path.rstrip("/").rsplit("/", 1)[-1], found.size_in_bytes) for found in system._list(folder))
        return
    start = folder.rstrip("/") + "/"
    for found in system._list(start + prefix):
        yield found.path.removeprefix(start), found.size_in_bytes


def delete(paths: Sequence[str]) -> None:
    """Delete files by their exact names, those that exist."""
    present = [path for path in paths if exists(path)]
    if present:
        stores(present[0]).get_filesystem(present[0]).delete(present)


@contextmanager
def creating(path: str) -> Iterator[IO[bytes]]:
    """A file that is written aside and appears at `path` when the block ends without an error."""
    folder, _, name = path.rpartition("/")
    aside = stores(path).join(folder, f".{name}.{uuid.uuid4().hex}{ASIDE_SUFFIX}")
    try:
        with cast("Any", stores(path).create(aside, compression_type="uncompressed")) as sink:
            yield sink
        if path.startswith("hdfs://"):  # an object store's rename replaces the target
            delete([path])
        stores(path).rename([aside], [path])
    except BaseException:
        delete([aside])
        raise


def create_new(path: str, data: bytes) -> bool:
    """Write a file unless there is one of this name, which stays. Returns whether it was written.

    Beam's file systems have no condition for it: of two writers at the same moment, both may be told so.
    """
    if exists(path):
        return False
    with creating(path) as sink:
        sink.write(data)
    return True


def remove_unfinished(folder: str) -> None:
    """Remove the unfinished files that killed writers left in a folder."""
    left = [name for name, _ in sizes_below(folder) if name.endswith(ASIDE_SUFFIX)]
    delete([stores(folder).join(folder, name) for name in left])

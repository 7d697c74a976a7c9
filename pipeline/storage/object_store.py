"""Which functions reach the files of a path that is not local."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, BinaryIO, Protocol

from pipeline.storage import beam_files, gcs, s3
from pipeline.storage.remote import stores


class ObjectStore(Protocol):
    """What the modules `s3`, `gcs` and `beam_files` have."""

    def exists(self, path: str) -> bool:
        """Whether there is a file."""

    def size(self, path: str) -> int:
        """Size of a file in bytes."""

    def read(self, path: str, most_bytes: int | None = None) -> bytes:
        """The whole file. Raises ValueError for one of more than `most_bytes`, and FileNotFoundError."""

    def open_reader(self, path: str) -> BinaryIO:
        """A reader of a file's raw bytes."""

    def sizes_below(self, folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Names, relative to a folder, and sizes of all files below it whose names begin with `prefix`."""

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files by their exact names, those that exist."""

    def creating(self, path: str) -> AbstractContextManager[IO[bytes]]:
        """A file that appears at `path` when the block ends without an error."""

    def create_new(self, path: str, data: bytes) -> bool:
        """Write a file unless there is one of this name. Returns whether it was written."""

    def remove_unfinished(self, folder: str) -> None:
        """Remove what killed writers left in a folder."""


def store(path: str) -> ObjectStore:
    """The functions for a path. Raises InputError where none, as installed here, have the path's scheme."""
    stores(path)
    return {"s3": s3, "gs": gcs}.get(path.partition("://")[0].lower(), beam_files)

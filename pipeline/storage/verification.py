"""Comparison of files with their manifests: a flipped bit in an unchecked file can crash a process, or go unnoticed."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from pipeline.storage import files
from pipeline.storage.columns import check_rows
from pipeline.storage.manifest import FileEntry, StageManifest, input_folder
from tokenizer.errors import InputError

VIEWED = {"dedup": "documents", "overlap": "dedup"}
"""Stages whose folders hold keep lists, and the stage whose files those select from: reading the first reads the second too."""


def check_input(folder: str, threads: int) -> None:
    """Compare all files that reading a stage's folder may touch with their manifests. Call it before their first use.

    In an object store, which keeps checksums itself, only sizes are compared. Raises InputError naming the first file that
    differs.
    """
    for each in _with_viewed(folder):
        check_folder(each, threads)


def check_folder(folder: str, threads: int | None = None) -> None:
    """Compare the files of one folder with its manifest, as `check_input` does."""
    check(folder, hashes=files.is_local(folder), threads=threads)


def check(
    folder: str, *, hashes: bool = True, threads: int | None = None, advance: Callable[[int], object] = lambda _: None
) -> tuple[int, int]:
    """Compare sizes, and hashes if `hashes`, by `threads` threads (default: one per core). Returns files and bytes.

    A file that this process found intact is not read again while its modification time stays. `advance` is told the bytes of each
    file that was read. Raises InputError.
    """
    entries = StageManifest.load(folder).files
    _check_sizes(folder, entries)
    if hashes:
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            for entry, damaged in zip(entries, pool.map(lambda entry: _damage(folder, entry), entries), strict=True):
                if damaged:
                    raise InputError(damaged)
                advance(entry.bytes)
    return len(entries), sum(entry.bytes for entry in entries)


def _with_viewed(folder: str) -> Iterator[str]:
    yield folder
    manifest = StageManifest.load(folder)
    if manifest.stage in VIEWED and VIEWED[manifest.stage] in manifest.inputs:
        yield from _with_viewed(input_folder(folder, manifest, VIEWED[manifest.stage]))


def _check_sizes(folder: str, entries: Sequence[FileEntry]) -> None:
    """Raise InputError for the first file that is missing or has another size.

    An object store is listed once; what the listing lacks, as HDFS's does folders below, is asked for.
    """
    listed = {} if files.is_local(folder) else files.sizes_below(folder)
    for entry in entries:
        path = files.join(folder, entry.name)
        size = listed[entry.name] if entry.name in listed else _size(path)
        if size is None:
            raise InputError(f"{path}: missing, though its manifest names it; remove {folder} and run its stage again")
        if size != entry.bytes:
            raise InputError(f"{path}: {size} bytes, its manifest says {entry.bytes}; remove {folder} and run its stage again")


def _size(path: str) -> int | None:
    return files.size(path) if files.exists(path) else None


def _damage(folder: str, entry: FileEntry) -> str | None:
    path = files.join(folder, entry.name)
    touched = Path(path).stat().st_mtime_ns if files.is_local(path) else 0
    if _fingerprint(path, touched) != entry.sha256:
        return f"{path}: damaged: its sha256 differs from its manifest; remove {folder} and run its stage again"
    if files.is_local(path) and path.endswith(".parquet"):
        check_rows(path, entry.rows)
    return None


@cache
def _fingerprint(path: str, _touched: int) -> str:
    return files.fingerprint(path)

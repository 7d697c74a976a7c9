"""Files beside what their manifests say of them: a flipped bit in a file that is read unchecked can end a process, or pass unseen."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import FileEntry, StageManifest, resolve

VIEWED = {"dedup": "documents", "overlap": "dedup"}
"""A folder of keep lists is a view of another stage's files: whoever reads the one reads the other."""


def check_input(folder: str, threads: int) -> None:
    """Compare every file of a stage's folder, and of those that it is a view of, with its manifest, before its first use.

    An object store keeps checksums of its own: there only sizes are compared. Raises InputError naming the first file that differs.
    """
    for each in _with_viewed(folder):
        check_folder(each, threads)


def check_folder(folder: str, threads: int | None = None) -> None:
    """The same of one folder alone."""
    check(folder, hashes=files.is_local(folder), threads=threads)


def check(folder: str, *, hashes: bool = True, threads: int | None = None) -> tuple[int, int]:
    """The same by so many threads (one a core): how many files, how many bytes.

    What this process found whole is not read again while it stays untouched.
    """
    entries = StageManifest.load(folder).files
    for entry in entries:
        _check_size(folder, entry)
    if hashes:
        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            for damaged in pool.map(lambda entry: _damage(folder, entry), entries):
                if damaged:
                    raise InputError(damaged)
    return len(entries), sum(entry.bytes for entry in entries)


def _with_viewed(folder: str) -> Iterator[str]:
    yield folder
    manifest = StageManifest.load(folder)
    if manifest.stage in VIEWED and VIEWED[manifest.stage] in manifest.inputs:
        yield from _with_viewed(resolve(folder, manifest.inputs[VIEWED[manifest.stage]]))


def _check_size(folder: str, entry: FileEntry) -> None:
    path = files.join(folder, entry.name)
    if not files.exists(path):
        raise InputError(f"{path}: missing; its manifest names it: remove {folder} and run its stage again")
    if (found := files.size(path)) != entry.bytes:
        raise InputError(f"{path}: {found} bytes, its manifest says {entry.bytes}: remove {folder} and run its stage again")


def _damage(folder: str, entry: FileEntry) -> str | None:
    path = files.join(folder, entry.name)
    touched = Path(path).stat().st_mtime_ns if files.is_local(path) else 0
    if _fingerprint(path, touched) == entry.sha256:
        return None
    return f"{path}: damaged, its sha256 is not the one that its manifest names: remove {folder} and run its stage again"


@cache
def _fingerprint(path: str, _touched: int) -> str:
    return files.fingerprint(path)

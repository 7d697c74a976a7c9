"""Outputs of commands: written aside and renamed, so that a file is whole or absent; what someone else made is left alone."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizer.errors import InputError, path_fault
from tokenizer.folder_lock import LOCK


def check_folder(folder: Path, own: Collection[str] = ()) -> None:
    """Raise InputError where a folder holds other files than those named `own`, or cannot be listed. It need not exist."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{folder}: {path_fault(error)}") from error
    if foreign := [name for name in names if name not in {LOCK, *own}]:
        raise InputError(
            f"{folder}: holds other files ({foreign[0]}{', …' if len(foreign) > 1 else ''}); choose an empty or a new folder"
        )


def check_new_file(path: Path) -> None:
    """Raise InputError where there is a file or folder of that name."""
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists; choose another path, or remove it first")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; the file there is renamed to `path` when the block ends, and removed on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def new_folder_aside(path: Path, names: Collection[str]) -> Iterator[Path]:
    """A folder beside `path` for files of these names, which are renamed to their places; it is removed when the block ends.

    The caller holds the lock of the folder, so a folder of that name was left by a run that was killed: it is removed first.
    """
    aside = path.with_name(f".{path.name}.aside")
    if aside.is_dir() and not aside.is_symlink():
        check_folder(aside, names)
        shutil.rmtree(aside)
    check_new_file(aside)
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside)

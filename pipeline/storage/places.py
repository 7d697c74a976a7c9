"""Which folders a manifest may send us to: those beside its own, and those that a flag names.

A corpus may come from others. Its manifests name the folders of earlier stages; a name of theirs must not make us read elsewhere on
this machine, or send a request to an object store.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenizer.errors import InputError
from tokenizer.untrusted import real_path

FLAG = "--also-read"
_named: list[str] = []
"""Folders that flags name. Threads of the same command share them: a report is written by one."""


@contextmanager
def naming(*folders: str) -> Iterator[None]:
    """While the block runs, manifests may name these folders and all below them."""
    _named.extend(folders)
    try:
        yield
    finally:
        for folder in folders:
            _named.remove(folder)


def add_also_read(parser: argparse._ActionsContainer) -> None:
    """Add the flag for trusted folders outside the corpus, which every command that reads a corpus takes."""
    text = "folders elsewhere that the manifests may name as inputs (default: only folders beside the one that is read)"
    parser.add_argument(FLAG, nargs="*", default=[], metavar="DIR", help=text)


def is_allowed(folder: str, seen_from: str) -> bool:
    """Whether a manifest in the folder `seen_from` may name `folder`: a folder beside it, or one that a flag names.

    Nothing is opened. Links count as what they lead to, so that no link beside a foreign folder leads out.
    """
    place = _place(folder)
    if place.parent == _place(_parent(seen_from)):
        return True
    return any(place.is_relative_to(_place(named)) for named in _named)


def check_folder(folder: str) -> None:
    """Raise InputError for a folder of a corpus that is a link to a place outside the corpus, which no flag names."""
    if _is_local(folder) and Path(folder).is_symlink() and not is_allowed(folder, folder):
        place = Path(folder).resolve()
        raise InputError(f"{folder}: is a link to {place}, outside the corpus; if you trust it, add {FLAG} {place}")


def _is_local(folder: str) -> bool:
    return "://" not in folder


def _parent(folder: str) -> str:
    if _is_local(folder):
        return str(Path(os.path.normpath(Path(folder).absolute())).parent)  # links on the way stay: `C/dedup` lies in C
    return folder.rstrip("/").rpartition("/")[0]


def _place(folder: str) -> Path:
    """A folder's place without links and `..`. For an object store: its address, which is no absolute path."""
    if _is_local(folder):
        try:
            return real_path(folder)
        except ValueError as error:
            raise InputError(f"{folder}: {error}; remove it") from error
    scheme, _, rest = folder.partition("://")
    return Path(f"{scheme}:", os.path.normpath(f"/{rest}").lstrip("/"))

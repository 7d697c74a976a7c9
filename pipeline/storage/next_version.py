"""The next version of a folder that a manifest describes: filled aside, then put in the place of the present one."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.storage import files
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK

ASIDE: Final = ".next"


@contextmanager
def next_version(folder: str) -> Iterator[str]:
    """A folder aside to fill, the manifest last; its files replace those of the present manifest when the block ends.

    Where the block ends with an error, the present version stands as it was. A crash while the files are put in place leaves the
    folder without a manifest: the same command fills it anew.
    """
    aside = files.join(folder, ASIDE)
    files.remove_folder(aside)
    try:
        yield aside
        _put_in_place(aside, folder)
    finally:
        files.remove_folder(aside)
        if files.names(folder) in ([], [LOCK]):
            files.remove_folder(folder)


def _put_in_place(aside: str, folder: str) -> None:
    new = StageManifest.load(aside)
    if files.exists(files.join(folder, NAME)):
        old = StageManifest.load(folder)
        files.remove(files.join(folder, NAME))
        for name in sorted({entry.name for entry in old.files} - {entry.name for entry in new.files}):
            files.remove(files.join(folder, name))
    for entry in new.files:
        files.move(files.join(aside, entry.name), files.join(folder, entry.name))
    files.move(files.join(aside, NAME), files.join(folder, NAME))


def check_foreign(folder: str, own: Collection[str] = ()) -> None:
    """Raise InputError where a folder without a manifest holds files that are none of ours. `own` are names that may be there."""
    if files.exists(files.join(folder, NAME)):
        return
    foreign = [n for n in files.names(folder) if n not in {LOCK, ASIDE, *own} and not n.endswith(files.ASIDE_SUFFIX)]
    if foreign:
        raise InputError(
            f"{folder}: holds files that no stage made ({foreign[0]}{', …' if len(foreign) > 1 else ''}); "
            "choose an empty or a new folder for --output"
        )

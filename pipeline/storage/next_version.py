"""The next version of a folder that a manifest describes: filled aside, then switched to at once.

The present version stands until the next one is complete, so a killed writer loses nothing. A reader that has opened files keeps
them: files are replaced by renaming, and an open or mapped file stays what it was.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline.storage import files, private_addresses
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK

ASIDE: Final = ".next"
REMOVAL_ASIDE: Final = ".next-removed"
"""The folder aside in which a removal fills the next version: it is switched to with those of the corpus' other stages."""
REPLACED: Final = "replaced.json"
"""The manifest of the version that a switch replaces, in the folder aside while files are moved."""


def aside_of(folder: str) -> str:
    """The folder in which the next version of `folder` is filled."""
    return files.join(folder, ASIDE)


def is_aside(folder: str) -> bool:
    """Whether a folder is one in which a next version is filled."""
    return files.base_name(folder) == ASIDE


@contextmanager
def next_version(folder: str) -> Iterator[str]:
    """A folder aside to fill, the manifest last; its files replace those of the present manifest when the block ends.

    Where the block ends with an error, the present version stands as it was. A switch that a crash cut short is finished first.
    """
    switch(folder)
    aside = aside_of(folder)
    files.remove_folder(aside)
    try:
        yield aside
        switch(folder)
    finally:
        files.remove_folder(aside)
        if files.names(folder) in ([], [LOCK]):
            files.remove_folder(folder)


def switch(folder: str, name: str = ASIDE) -> bool:
    """Put the next version, in the folder aside `name`, in the place of the present one if it is complete; returns whether it was.

    After a crash midway the folder has no manifest, and another call finishes the switch.
    """
    aside = files.join(folder, name)
    if not files.exists(files.join(aside, NAME)):
        return False
    new = StageManifest.load(aside)
    replaced = files.join(aside, REPLACED)
    if files.exists(files.join(folder, NAME)):
        files.move(files.join(folder, NAME), replaced)
    if files.exists(replaced):
        old = StageManifest.parse(files.read_bytes(replaced))
        for name in sorted({entry.name for entry in old.files} - {entry.name for entry in new.files}):
            files.remove(files.join(folder, name))
    private_addresses.forget(folder)
    for name in [*(entry.name for entry in new.files), *private_addresses.names(aside)]:
        if files.exists(files.join(aside, name)):
            files.move(files.join(aside, name), files.join(folder, name))
    private_addresses.close_again(folder)
    sweep(folder, new)
    files.move(files.join(aside, NAME), files.join(folder, NAME))
    files.remove_folder(aside)
    return True


def sweep(folder: str, manifest: StageManifest) -> None:
    """Remove the files that a manifest does not name, although a pattern for the files that it names would find them.

    Killed runs with other settings leave such files, as `documents-00003-of-00004.parquet` beside three of three: a reader of
    `documents-*.parquet` would read both. Other files are not touched.
    """
    named = {entry.name for entry in manifest.files}
    families = set(map(_family, named)) - {None}
    for name in files.names_below(folder):
        if name not in named and not name.startswith(".") and _family(name) in families:
            files.remove(files.join(folder, name))


def _family(name: str) -> tuple[str, str, str] | None:
    """Folder, first word and suffix of a numbered file; None for one without a number.

    >>> _family("drops/drops-00000-of-00002.parquet")
    ('drops', 'drops', 'parquet')
    """
    folder, _, base = name.rpartition("/")
    word, dash, rest = base.partition("-")
    if not dash or not any(character.isdigit() for character in rest):
        return None
    return folder, word, rest.rpartition(".")[2]


def check_free(folder: str, own: Collection[str] = ()) -> None:
    """Raise InputError where a folder holds a finished stage or dataset, or files that are none of ours, as `check_foreign` does."""
    if files.exists(files.join(folder, NAME)):
        raise InputError(f"{folder}: holds a finished stage or dataset; choose an empty or a new folder for --output")
    check_foreign(folder, own)


def check_foreign(folder: str, own: Collection[str] = ()) -> None:
    """Raise InputError where a folder without a manifest holds files that are none of ours, or is a file or below one.

    `own` are names that may be there.
    """
    if files.is_local(folder):
        nearest = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise InputError(f"{folder}: {nearest} is a file; choose an empty or a new folder for --output")
    if files.exists(files.join(folder, NAME)):
        return
    foreign = [
        n for n in files.names(folder) if n not in {LOCK, ASIDE, REMOVAL_ASIDE, *own} and not n.endswith(files.ASIDE_SUFFIX)
    ]
    if foreign:
        raise InputError(
            f"{folder}: holds files that no stage made ({foreign[0]}{', …' if len(foreign) > 1 else ''}); "
            "choose an empty or a new folder for --output"
        )

"""The check before a command changes or joins finished folders: a rewritten file would hide that its source was damaged."""

import logging
from collections.abc import Sequence

from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.chain import Break, broken_links, check_chain
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)


def check_files(command: str, folders: Sequence[str]) -> None:
    """Compare the files of finished stages with their manifests, and show the progress in bytes.

    In object stores only sizes are compared. Raises InputError for the first that differs.
    """
    total = sum(entry.bytes for folder in folders for entry in StageManifest.load(folder).files if files.is_local(folder))
    with counted(f"{command} check", total, "bytes") as advance:
        for folder in folders:
            check(folder, hashes=files.is_local(folder), advance=advance)


def check_chains(folders: Sequence[str]) -> None:
    """Raise InputError where a folder no longer follows from what it was made from, wherever that lies."""
    for folder in folders:
        check_chain(folder)


def check_corpus(command: str, folders: Sequence[str]) -> None:
    """Raise InputError where a stage of a corpus no longer follows from another one of it.

    Log the first stage that no longer follows from an earlier month: it is to be compared again, and can lose documents before that.
    """
    links = [link for folder in folders for link in broken_links(folder) if link.kind in (Break.CHANGED, Break.DAMAGED)]
    for link in links:
        if _is_among(link.folder, folders) and _is_among(link.place, folders):
            raise InputError(f"{link}; {link.advice}")
    if stale := next((link for link in links if _is_among(link.folder, folders)), None):
        logger.warning("%s: %s; %s", command, stale, stale.advice)


def _is_among(folder: str, folders: Sequence[str]) -> bool:
    return any(files.is_same(folder, other) for other in folders)

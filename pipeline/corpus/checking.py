"""The check before a command changes or joins finished folders: a rewritten file would hide that its source was damaged."""

from collections.abc import Sequence

from pipeline.engine.progress import counted
from pipeline.storage import files
from pipeline.storage.chain import check_chain
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check


def check_whole(command: str, folders: Sequence[str]) -> None:
    """Compare the files of finished stages with their manifests, and follow the folders that they were made from.

    Shows the progress in bytes; in object stores only sizes are compared. Raises InputError for the first that differs.
    """
    check_files(command, folders)
    for folder in folders:
        check_chain(folder)


def check_files(command: str, folders: Sequence[str]) -> None:
    """Compare the files of finished stages with their manifests, as `check_whole` does."""
    total = sum(entry.bytes for folder in folders for entry in StageManifest.load(folder).files if files.is_local(folder))
    with counted(f"{command} check", total, "bytes") as advance:
        for folder in folders:
            check(folder, hashes=files.is_local(folder), advance=advance)

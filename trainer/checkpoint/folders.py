"""Where a run keeps its checkpoints, and which of them it keeps."""

import re
import shutil
from pathlib import Path

from tokenizer.errors import InputError
from tokenizer.untrusted import check_link

CHECKPOINTS = "checkpoints"
ASIDE = ".aside"
METADATA = "checkpoint.json"
_STEP = re.compile(r"step_\d{8,}")


def folder_of(run: Path, step: int) -> Path:
    """Path of a step's checkpoint in a run's folder."""
    return run / CHECKPOINTS / f"step_{step:08d}"


def aside_of(final: Path) -> Path:
    """Temporary folder that becomes the checkpoint `final` by a rename."""
    return final.with_name(f".{final.name}{ASIDE}")


def checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first. Folders with other names, such as copies made by hand, are no checkpoints."""
    found = [
        path
        for path in (run / CHECKPOINTS).glob("step_*")
        if _STEP.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint, from its folder's name."""
    return int(checkpoint.name.removeprefix("step_"))


def set_aside(path: Path, reason: str = "damaged") -> Path:
    """Rename a checkpoint, so that it neither counts as the newest one nor takes the place of a kept one."""
    number, renamed = 0, path.with_name(f"{reason}_{path.name}")
    while renamed.exists():
        number += 1
        renamed = path.with_name(f"{reason}_{path.name}.{number}")
    return path.rename(renamed)


def newest(folder: Path) -> Path:
    """The checkpoint `folder`, or the newest checkpoint of the run `folder`. Raises InputError if it is neither."""
    if (folder / METADATA).exists():
        return folder
    try:
        check_link(folder, folder / CHECKPOINTS)
    except ValueError as error:
        raise InputError(f"{folder / CHECKPOINTS}: {error}; or name the checkpoint's own folder") from error
    complete = checkpoints(folder)
    if not complete:
        raise InputError(f"{folder}: not a checkpoint, not a run with a checkpoint, not a Hugging Face folder; check the path")
    return complete[-1]


def prune(run: Path, keep: int, best: int | None, stable_steps: int = 0) -> None:
    """Delete all checkpoints except the newest `keep`, the one of step `best`, and the newest of at most `stable_steps` steps."""
    stable = [path for path in checkpoints(run) if step_of(path) <= stable_steps][-1:]
    for path in checkpoints(run)[:-keep]:
        if path not in stable and (best is None or path != folder_of(run, best)):
            shutil.rmtree(path)


def sweep(run: Path) -> None:
    """Delete the temporary folders of killed writers."""
    for path in (run / CHECKPOINTS).glob(f".*{ASIDE}"):
        shutil.rmtree(path)

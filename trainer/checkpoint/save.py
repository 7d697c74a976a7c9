"""Writing checkpoints: in the background, by all ranks together, visible only when complete."""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException

from tokenizer.codec import Tokenizer
from trainer.checkpoint.folders import CHECKPOINTS, aside_of, folder_of, prune
from trainer.checkpoint.metadata import CheckpointMetadata, ListedFiles, list_files, write_metadata
from trainer.checkpoint.tensors import Tensors, save_tensors
from trainer.config import SaveError
from trainer.distributed import World


class CheckpointWriter:
    """Writes checkpoints in a thread, one at a time, while training continues. Every rank has one; all make the same calls."""

    def __init__(self, run: Path, tokenizer: Tokenizer, world: World, *, keep: int) -> None:
        self._run, self._tokenizer, self._world, self._keep = run, tokenizer, world, keep
        self._group = dist.new_group(backend="gloo") if world.ranks > 1 else None
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[Path] | None = None

    def save(self, metadata: CheckpointMetadata, parts: dict[str, Tensors], *, snapshot: bool = True) -> None:
        """Copy the tensors, start writing and return. Waits for the previous save; raises SaveError if that one failed.

        Without `snapshot`, tensors on the CPU are written as they are: nothing may change them afterwards.
        """
        self.wait()
        copies = {
            part: {name: value.detach().to("cpu", copy=snapshot) for name, value in tensors.items()}
            for part, tensors in parts.items()
        }
        self._pending = self._thread.submit(self._write, metadata, copies)

    def wait(self) -> None:
        """Wait until the last save is on disk. Raises SaveError if it failed."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            pending.result()
        except (OSError, RuntimeError, CheckpointException) as error:
            raise SaveError(
                f"a checkpoint could not be written ({error}); earlier checkpoints are intact in {self._run / CHECKPOINTS}"
            ) from error

    def close(self) -> None:
        """Finish the current save and end the thread."""
        self._thread.shutdown()

    def _write(self, metadata: CheckpointMetadata, parts: dict[str, Tensors]) -> Path:
        folder = write(self._run, metadata, parts, self._tokenizer, self._world, self._group)
        if self._world.first:
            prune(self._run, self._keep, metadata.best_step, metadata.config.stable_steps)
        return folder


def write(
    run: Path,
    metadata: CheckpointMetadata,
    parts: dict[str, Tensors],
    tokenizer: Tokenizer,
    world: World,
    group: dist.ProcessGroup | None = None,
) -> Path:
    """Write the checkpoint of `metadata.step` and return its folder. Every rank calls it with its own shards."""
    final = folder_of(run, metadata.step)
    aside = aside_of(final)
    with _failing_together(group):
        if world.first:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
    mine: ListedFiles = {}
    for name, tensors in parts.items():
        with _failing_together(group):
            mine |= _list_synced(aside, save_tensors(aside / name, tensors, world, group))
    listed = _gather(mine, world, group)
    with _failing_together(group):
        if world.first:
            _publish(aside, final, metadata, listed | _list_synced(aside, tokenizer.save(aside / "tokenizer")))
    return final


def _list_synced(folder: Path, files: Sequence[Path]) -> ListedFiles:
    """Sync the files that this rank wrote, and hash them: each rank its own, while they are still in memory."""
    for path in files:
        _sync(path)
    return list_files(folder, files)


def _gather(mine: ListedFiles, world: World, group: dist.ProcessGroup | None) -> ListedFiles:
    """The files of all ranks on the first rank."""
    if group is None:
        return mine
    everyone: list[Any] | None = [None] * world.ranks if world.first else None
    dist.gather_object(mine, everyone, group=group)
    return {name: entry for files in everyone or [] for name, entry in files.items()}


@contextmanager
def _failing_together(group: dist.ProcessGroup | None) -> Iterator[None]:
    """If the block fails on one rank, raise on all: otherwise the others wait for that rank forever."""
    failure: BaseException | None = None
    try:
        yield
    except (OSError, RuntimeError, CheckpointException) as error:
        failure = error
    if group is not None:
        failed = torch.tensor(int(failure is not None))
        dist.all_reduce(failed, dist.ReduceOp.MAX, group=group)
        if failed.item() and failure is None:
            raise SaveError("another rank could not write its part")
    if failure is not None:
        raise failure


def _publish(aside: Path, final: Path, metadata: CheckpointMetadata, listed: ListedFiles) -> None:
    """Write checkpoint.json, sync it and all folders, and rename the checkpoint's folder."""
    folders = {(aside / name).parent for name in listed}
    for path in (write_metadata(aside, metadata, listed), *sorted(folders), aside):
        _sync(path)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

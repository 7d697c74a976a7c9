"""torch.compile, whole or in parts, with a cache that belongs to the run.

All processes of a user share torch's default cache. A process killed while compiling left a half-written file in it, and the next
start crashed on that file. So each rank of a run has its own cache on a local disk, and deletes it at the start unless a complete
training step has used it.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.distributed import World
from trainer.model import GPT

PROVEN = "proven"


class CompileCache:
    """The folder of a rank's compiled code. Call `keep` after the first step."""

    def __init__(self, run: Path, world: World) -> None:
        name = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
        self.folder = _own_folder() / name / f"rank_{world.rank:05d}"
        if not (self.folder / PROVEN).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self.folder)
        self._kept = False

    def keep(self) -> None:
        """Mark the cache as usable by the next start: a step has used it. Further calls do nothing."""
        if not self._kept:
            (self.folder / PROVEN).touch()
            self._kept = True


def compile_parts(model: GPT, **options: Any) -> None:
    """Compile each block, and the output layer with its loss, in place; do it before the network is sharded.

    FSDP gathers and frees a block's weights around the block's `forward`: one graph over several blocks would break at each of
    them. Blocks share one graph, because only their weights differ. In evaluation mode the parts run uncompiled.
    """
    for block in model.blocks:
        _compile(block, "forward", options)
    _compile(model, "stream_loss", options)


def _compile(module: nn.Module, name: str, options: dict[str, Any]) -> None:
    eager: Callable[..., Tensor] = getattr(module, name)
    compiled: Callable[..., Tensor] = torch.compile(eager, dynamic=False, **options)

    def call(*arguments: Any) -> Tensor:
        return compiled(*arguments) if module.training else eager(*arguments)

    setattr(module, name, call)


def _own_folder() -> Path:
    """This user's folder of caches on a local disk. Code is run from it, so it must be nobody else's."""
    folder = Path(tempfile.gettempdir()) / f"webtext-compile-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="webtext-compile-"))
    return folder

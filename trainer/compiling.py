"""torch.compile with a cache that belongs to the run.

All processes of a user share torch's default cache. A process killed while compiling left a half-written file in it, and the next
start crashed on that file. So each rank has its own cache, and deletes it at the start unless a complete training step has used
it.
"""

import os
import shutil
from pathlib import Path

import torch
from torch import nn

from trainer.distributed import World

PROVEN = "proven"


class CompiledNetwork:
    """A network compiled for fixed shapes, in `network`. Call `keep_cache` after the first step."""

    def __init__(self, network: nn.Module, run: Path, world: World) -> None:
        self._cache = run / ".compile" / f"rank_{world.rank:05d}"
        if not (self._cache / PROVEN).exists():
            shutil.rmtree(self._cache, ignore_errors=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self._cache.absolute())
        self.network: nn.Module = torch.compile(network, dynamic=False)  # type: ignore[assignment]

    def keep_cache(self) -> None:
        """Mark the cache as usable by the next start."""
        (self._cache / PROVEN).touch()

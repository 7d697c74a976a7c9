"""torch.compile with a cache that belongs to the run.

A start after a kill in mid-compile was seen to die of a half-written file in the cache that all of a user's processes share. Here each rank
has its own, and one that was not yet proven by a whole step is thrown away.
"""

import os
import shutil
from pathlib import Path

import torch
from torch import nn

from trainer.distributed import World

PROVEN = "proven"


class Compiled:
    """A network compiled for fixed shapes; `prove` says that its cache served a step and may serve again."""

    def __init__(self, network: nn.Module, run: Path, world: World) -> None:
        self._cache = run / ".compile" / f"rank_{world.rank:05d}"
        if not (self._cache / PROVEN).exists():
            shutil.rmtree(self._cache, ignore_errors=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self._cache.absolute())
        self.network: nn.Module = torch.compile(network, dynamic=False)  # type: ignore[assignment]

    def prove(self) -> None:
        """Called after a step."""
        (self._cache / PROVEN).touch()

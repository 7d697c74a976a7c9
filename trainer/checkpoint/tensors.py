"""Named tensors in folders of safetensors, one file per rank, through torch.distributed.checkpoint."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from trainer.checkpoint.metadata import DamagedCheckpointError
from trainer.checkpoint.tensor_headers import check_tensors
from trainer.distributed import World

Tensors = dict[str, Tensor]


def save_tensors(folder: Path, tensors: Tensors, world: World, group: dist.ProcessGroup | None) -> list[Path]:
    """Write this rank's shard of each tensor, and return its files. All ranks of `group` call it together."""
    with _single_process_warning_ignored():
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        dcp.state_dict_saver.save(tensors, storage_writer=writer, process_group=group, no_dist=world.ranks == 1)
    return sorted(folder.glob(f"shard-{world.rank + 1:05d}-*.safetensors"))


def load_tensors(folder: Path, tensors: Tensors, world: World) -> None:
    """Fill the tensors in place, whole or sharded. The number of ranks that wrote them does not matter.

    Raises DamagedCheckpointError where the files hold other tensors.
    """
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt"):
                pass  # it checks the header; torch would print its error and a traceback
        check_tensors(folder, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
        with _single_process_warning_ignored():
            dcp.state_dict_loader.load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=world.ranks == 1)
    except (ValueError, SafetensorError, CheckpointException) as error:
        raise DamagedCheckpointError(f"{folder}: {' '.join(str(error).split())[:300]}") from error


@contextmanager
def _single_process_warning_ignored() -> Iterator[None]:
    """torch warns about a single process even when `no_dist` asks for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield

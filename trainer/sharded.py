"""Tensors that FSDP2 shards over ranks: each rank's part, and filling the parts from a whole tensor."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def local(value: Tensor) -> Tensor:
    """This rank's part of a tensor; a tensor that is not sharded is its own part."""
    part: Tensor = value.to_local() if isinstance(value, DTensor) else value
    return part


@torch.no_grad()
def copy_whole(target: Tensor, whole: Tensor) -> None:
    """Copy a tensor, which every rank has whole, into a target that may be sharded. Nothing is sent."""
    if isinstance(target, DTensor):
        mesh, placements = target.device_mesh, target.placements
        whole = distribute_tensor(whole.to(target.device, target.dtype), mesh, placements, src_data_rank=None)
    target.copy_(whole)

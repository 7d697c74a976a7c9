"""A function of whole matrices, such as Muon's iteration, on ranks that divide the matrices among them.

Where every rank has all matrices (DDP), each rank works on its share and one all-gather hands out the results. Where every rank
has some rows of each matrix (FSDP2), an all-to-all gathers the rows of a rank's share, and another one returns them. Without
this, each of W ranks would repeat the work of all.
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

MatrixFunction = Callable[[Tensor], Tensor]
"""From a batch of matrices (N, R, C) to one of the same shape."""


def apply_to_matrices(function: MatrixFunction, parts: Sequence[Tensor], like: DTensor | None) -> list[Tensor]:
    """This rank's parts of `function` of matrices of one shape; all ranks call it together.

    `parts` are this rank's parts of the matrices: their rows as `like` is sharded, or, without `like`, the whole matrices, which
    are equal on all ranks.
    """
    if like is not None:
        return _on_sharded(function, parts, like)
    ranks = dist.get_world_size() if dist.is_initialized() else 1
    if ranks == 1:
        return list(function(torch.stack(list(parts))))
    share = -(-len(parts) // ranks)
    first = dist.get_rank() * share
    mine = function(_padded(parts[first : first + share], share, parts[0].shape, parts[0]))
    results = mine.new_empty(ranks * share, *mine.shape[1:])
    dist.all_gather_into_tensor(_bytes(results), _bytes(mine.contiguous()))
    return list(results[: len(parts)])


def _on_sharded(function: MatrixFunction, parts: Sequence[Tensor], like: DTensor) -> list[Tensor]:
    if like.placements != (Shard(0),):
        raise ValueError(f"matrices sharded as {like.placements}: only rows over one mesh axis are supported")
    mesh, (rows, columns) = like.device_mesh, like.shape
    ranks, group = mesh.size(), mesh.get_group()
    chunk, share = -(-rows // ranks), -(-len(parts) // ranks)  # rows per rank as torch.chunk deals them; matrices per rank
    sent = _padded(parts, ranks * share, (chunk, columns), parts[0])
    received = _exchange(sent.view(ranks, share, chunk, columns), group)
    whole = received.transpose(0, 1).reshape(share, ranks * chunk, columns)
    result = whole.new_zeros(whole.shape)
    result[:, :rows] = function(whole[:, :rows].contiguous())
    returned = _exchange(result.view(share, ranks, chunk, columns).transpose(0, 1), group)
    mine = returned.reshape(ranks * share, chunk, columns)
    return [matrix[: len(part)] for matrix, part in zip(mine, parts, strict=False)]


def _padded(parts: Sequence[Tensor], count: int, shape: Sequence[int], like: Tensor) -> Tensor:
    """The parts as a batch of `count` matrices of a shape that is at least theirs, filled up with zeros."""
    batch = like.new_zeros(count, *shape)
    for target, part in zip(batch, parts, strict=False):
        target[: len(part)] = part
    return batch


def _exchange(value: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Send `value[r]` to each rank r; return what each has sent, stacked."""
    sent = value.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(_bytes(received), _bytes(sent), group=group)
    return received


def _bytes(value: Tensor) -> Tensor:
    """The tensor's memory as bytes, in one axis: not every backend moves bfloat16."""
    return value.view(-1).view(torch.uint8)

"""Muon (Jordan 2024): an update is a matrix's momentum with all singular values near one.

torch.optim.Muon supports neither sharded matrices (FSDP2) nor `found_inf`. Tests compare this optimizer with it.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration. `ITERATIONS` of it bring singular values between 0.02 and 1 near 1."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for parameters with two axes. A `found_inf` of 1.0 leaves weights and momentum unchanged, bit for bit.

    An update's root mean square is 0.2, as is usual with AdamW (arXiv 2502.16982), so that both optimizers share learning rate
    and weight decay. `dtype` is the type of the iteration's matrix products.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, momentum: float, weight_decay: float, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        self.found_inf = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)

    def _update(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient, rate, skip = _local(weight.grad), group["lr"], self.found_inf.bool()  # type: ignore[arg-type]
        momentum = _local(self.state[weight].setdefault("momentum", torch.zeros_like(weight)))
        newest = momentum.lerp(gradient, 1 - group["momentum"])
        step = _orthogonalize_shard(gradient.lerp(newest, group["momentum"]), weight, self.dtype or weight.dtype)
        size = 0.2 * max(weight.shape) ** 0.5
        mine = _local(weight)
        updated = mine * (1 - rate * group["weight_decay"]) - rate * size * step
        momentum.copy_(torch.where(skip, momentum, newest))
        mine.copy_(torch.where(skip, mine, updated))


def orthogonalize(matrix: Tensor) -> Tensor:
    """The matrix with its singular vectors, but singular values between about 0.7 and 1.2."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.T if tall else x
    return result


def _orthogonalize_shard(matrix: Tensor, like: Tensor, dtype: torch.dtype) -> Tensor:
    """This rank's shard of the orthogonalized matrix, from its shard of the matrix. Every rank computes the whole."""
    if not isinstance(like, DTensor):
        return orthogonalize(matrix.to(dtype)).to(matrix.dtype)
    mesh, placements = like.device_mesh, like.placements
    shards = DTensor.from_local(matrix.to(dtype), mesh, placements, run_check=False, shape=like.shape, stride=like.stride())
    whole = orthogonalize(shards.full_tensor()).to(matrix.dtype)
    mine: Tensor = distribute_tensor(whole, mesh, placements, src_data_rank=None)
    return _local(mine)


def _local(value: Tensor) -> Tensor:
    local: Tensor = value.to_local() if isinstance(value, DTensor) else value
    return local

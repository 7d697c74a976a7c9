"""Muon (Jordan 2024): the momentum of a matrix, its singular values brought to one, is the step.

torch's own takes neither a matrix in pieces (FSDP2) nor word of a step to be skipped; tests hold this one to it.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration; they take singular values of 0.02 to 1 near 1 in `ITERATIONS` turns."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """For parameters with two axes. `found_inf` of 1.0 leaves weights and momentum as they are, bit for bit.

    The step's root mean square is AdamW's usual 0.2 (arXiv 2502.16982), so that one learning rate and decay serve both. `dtype` is that of
    the iteration's products.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, momentum: float, weight_decay: float, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        self.found_inf = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move every matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient, rate, held = _local(weight.grad), group["lr"], self.found_inf.bool()  # type: ignore[arg-type]
        momentum = _local(self.state[weight].setdefault("momentum", torch.zeros_like(weight)))
        newest = momentum.lerp(gradient, 1 - group["momentum"])
        step = _orthogonal(gradient.lerp(newest, group["momentum"]), weight, self.dtype or weight.dtype)
        size = 0.2 * max(weight.shape) ** 0.5
        mine = _local(weight)
        moved = mine * (1 - rate * group["weight_decay"]) - rate * size * step
        momentum.copy_(torch.where(held, momentum, newest))
        mine.copy_(torch.where(held, mine, moved))


def orthogonalise(matrix: Tensor) -> Tensor:
    """A matrix of the same singular vectors, its singular values between about 0.7 and 1.2."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    turned: Tensor = x.T if tall else x
    return turned


def _orthogonal(matrix: Tensor, like: Tensor, dtype: torch.dtype) -> Tensor:
    """Of this rank's piece its piece of the whole matrix's; every rank makes the whole."""
    if not isinstance(like, DTensor):
        return orthogonalise(matrix.to(dtype)).to(matrix.dtype)
    mesh, placements = like.device_mesh, like.placements
    pieces = DTensor.from_local(matrix.to(dtype), mesh, placements, run_check=False, shape=like.shape, stride=like.stride())
    whole = orthogonalise(pieces.full_tensor()).to(matrix.dtype)
    mine: Tensor = distribute_tensor(whole, mesh, placements, src_data_rank=None)
    return _local(mine)


def _local(value: Tensor) -> Tensor:
    local: Tensor = value.to_local() if isinstance(value, DTensor) else value
    return local

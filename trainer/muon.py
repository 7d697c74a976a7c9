"""Muon (Jordan 2024): an update is a matrix's momentum with all singular values near one.

torch.optim.Muon supports neither sharded matrices (FSDP2) nor `found_inf`, and every rank repeats all of its products. Tests
compare this optimizer with it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from trainer.matrix_shares import apply_to_matrices
from trainer.sharded import local

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration. `ITERATIONS` of it bring singular values between 0.02 and 1 near 1."""

ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for parameters with two axes. A `found_inf` of 1.0 leaves weights and momentum unchanged, bit for bit.

    Matrices of equal shape are orthogonalized in one batch, and ranks divide the batch among them. An update's root mean square
    is 0.2, as is usual with AdamW (arXiv 2502.16982), so that both optimizers share learning rate and weight decay. `dtype` is
    the type of the iteration's matrix products; `compiled` compiles it, once per shape.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        *,
        momentum: float,
        weight_decay: float,
        dtype: torch.dtype | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        self.found_inf = torch.zeros(())
        self.orthogonalize: Callable[[Tensor], Tensor] = (
            torch.compile(orthogonalize, dynamic=False) if compiled else orthogonalize
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(tuple(weight.shape), []).append(weight)
            for weights in by_shape.values():
                self._update(weights, group)

    def _update(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        rate, skip = group["lr"], self.found_inf.bool()
        dtype = self.dtype or weights[0].dtype
        directions = [self._direction(weight, group["momentum"], skip).to(dtype) for weight in weights]
        like = weights[0] if isinstance(weights[0], DTensor) else None
        steps = apply_to_matrices(self.orthogonalize, directions, like)
        size = 0.2 * max(weights[0].shape) ** 0.5
        for weight, step in zip(weights, steps, strict=True):
            mine = local(weight)
            updated = mine * (1 - rate * group["weight_decay"]) - rate * size * step.to(mine.dtype)
            mine.copy_(torch.where(skip, mine, updated))

    def _direction(self, weight: Tensor, momentum: float, skip: Tensor) -> Tensor:
        """This rank's part of the matrix's direction, by Nesterov's momentum, which it updates."""
        gradient = local(weight.grad)  # type: ignore[arg-type]
        average = local(self.state[weight].setdefault("momentum", torch.zeros_like(weight)))
        newest = average.lerp(gradient, 1 - momentum)
        average.copy_(torch.where(skip, average, newest))
        return gradient.lerp(newest, momentum)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Matrices (…, R, C) with their singular vectors, but singular values between about 0.7 and 1.2."""
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result

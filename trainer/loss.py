"""Cross-entropy of the output layer, a chunk of rows at a time: the logits of a whole micro-batch never exist.

torch 2.13's own fused loss (`F.linear_cross_entropy`) is not used: with bf16 inputs it adds its chunks up in bf16 and was measured to
return 9.19 where the truth is 10.88. Here products are of the input's type, and everything that is summed is fp32 or wider.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES_CPU = 1 << 26
CHUNK_BYTES_GPU = 1 << 30
"""About so large a chunk of fp32 logits."""


def head_loss(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, padded_rows: int, chunk_rows: int = 0) -> Tensor:
    """Mean loss in nats over the rows whose target is not negative, of V classes, though the product is made on `padded_rows` columns.

    Differentiable once.
    """
    device = hidden_ND.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        hidden_ND = hidden_ND.to(kind)
    rows = chunk_rows or _rows(padded_rows, device)
    return _HeadLoss.apply(hidden_ND, weight_VD, targets_N, padded_rows, rows)


def _rows(columns: int, device: str) -> int:
    budget = CHUNK_BYTES_CPU if device == "cpu" else CHUNK_BYTES_GPU
    return max(64, budget // (4 * columns) // 64 * 64)


class _HeadLoss(torch.autograd.Function):
    """The gradient is made with the loss, while a chunk's logits are at hand: three products, none made twice."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, padded_rows: int, chunk_rows: int) -> Tensor:
        classes = weight_VD.shape[0]
        padded_VD = F.pad(weight_VD.to(hidden_ND.dtype), (0, 0, 0, padded_rows - classes))
        wide = torch.promote_types(hidden_ND.dtype, torch.float32)
        differentiate = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        total = torch.zeros((), dtype=wide, device=hidden_ND.device)
        counted_N = targets_N >= 0
        count = counted_N.sum().clamp(min=1)
        d_hidden = torch.empty_like(hidden_ND) if differentiate else None
        d_weight = torch.zeros(padded_VD.shape, dtype=wide, device=hidden_ND.device) if differentiate else None
        for start in range(0, len(targets_N), chunk_rows):
            part = slice(start, start + chunk_rows)
            logits = (hidden_ND[part] @ padded_VD.T).to(wide)
            real = logits[:, :classes]
            normaliser = real.logsumexp(dim=1, keepdim=True)
            chosen = real.gather(1, targets_N[part, None].clamp(min=0))
            total += ((normaliser - chosen) * counted_N[part, None]).sum()
            if d_hidden is not None and d_weight is not None:
                slope = _slope(logits, normaliser, targets_N[part], counted_N[part], classes).to(hidden_ND.dtype)
                d_hidden[part] = slope @ padded_VD
                d_weight += slope.T @ hidden_ND[part]
        if d_hidden is not None and d_weight is not None:
            ctx.save_for_backward(d_hidden, d_weight[:classes], count)
        return total / count

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight, count = ctx.saved_tensors
        scale = slope / count
        return d_hidden * scale.to(d_hidden.dtype), d_weight * scale, None, None, None


def _slope(logits: Tensor, normaliser: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int) -> Tensor:
    """Of the summed loss by the logits: probabilities less one at the target, nothing in the padding and in rows that do not count."""
    slope = (logits - normaliser).exp_()
    slope[:, classes:] = 0
    slope.scatter_add_(1, targets_n[:, None].clamp(min=0), slope.new_full((len(targets_n), 1), -1.0))
    return slope.mul_(counted_n[:, None])

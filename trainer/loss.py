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


def head_loss(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, padded_rows: int, at_a_time: int = 0) -> Tensor:
    """Mean loss in nats over the rows whose target is not negative, of V classes, though the product is made on `padded_rows` columns.

    Differentiable once.
    """
    device = hidden_ND.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        hidden_ND = hidden_ND.to(kind)
    rows = at_a_time or chunk_rows(padded_rows, device)
    loss: Tensor = _HeadLoss.apply(hidden_ND, weight_VD, targets_N, padded_rows, rows)  # type: ignore[no-untyped-call]
    return loss


def chunk_rows(columns: int, device: str) -> int:
    """Rows of logits at a time, where nobody says otherwise."""
    budget = CHUNK_BYTES_CPU if device == "cpu" else CHUNK_BYTES_GPU
    return max(64, budget // (4 * columns) // 64 * 64)


class _HeadLoss(torch.autograd.Function):
    """The gradient is made with the loss, while a chunk's logits are at hand: three products, none made twice."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, padded_rows: int, chunk_rows: int) -> Tensor:
        classes = weight_VD.shape[0]
        padded_VD = F.pad(weight_VD.to(hidden_ND.dtype), (0, 0, 0, padded_rows - classes))
        wide = _wide(hidden_ND)
        differentiate = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        total = torch.zeros((), dtype=wide, device=hidden_ND.device)
        counted_N = targets_N >= 0
        count = counted_N.sum().clamp(min=1)
        d_hidden = torch.empty_like(hidden_ND) if differentiate else None
        d_weight = torch.zeros(padded_VD.shape, dtype=wide, device=hidden_ND.device) if differentiate else None
        for start in range(0, len(targets_N), chunk_rows):
            part = slice(start, start + chunk_rows)
            nats, slope = _softmax(hidden_ND[part] @ padded_VD.T, targets_N[part], counted_N[part], classes)
            total += nats
            if d_hidden is not None and d_weight is not None:
                slope = slope.to(hidden_ND.dtype)
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


def _softmax(logits: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Summed loss of a chunk, and its slope by the logits: probabilities less one at the target; rows that do not count have none."""
    if torch.compiler.is_compiling():
        return _fused_softmax(logits, targets_n, counted_n, classes)
    logits = logits.to(_wide(logits))
    real, targets_n1, counted_n1 = logits[:, :classes], targets_n[:, None].clamp(min=0), counted_n[:, None].to(logits.dtype)
    chosen = real.gather(1, targets_n1)
    peak = real.amax(dim=1, keepdim=True)
    real.sub_(peak).exp_()  # in place, each logit once: on CPU the passes over a chunk cost as much as its products
    mass = real.sum(dim=1, keepdim=True)
    nats = ((mass.log() + peak - chosen) * counted_n1).sum()
    real.mul_(counted_n1 / mass)
    real.scatter_add_(1, targets_n1, -counted_n1)
    logits[:, classes:] = 0
    return nats, logits


def _fused_softmax(logits: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The same as a compiler makes it best: three passes that read the products' own type and nothing written in place."""
    columns = torch.arange(logits.shape[1], device=logits.device)
    targets_n1, counted_n1 = targets_n[:, None].clamp(min=0), counted_n[:, None].to(_wide(logits))
    chosen = logits.gather(1, targets_n1).to(_wide(logits))
    real = logits.to(_wide(logits)).masked_fill(columns >= classes, -torch.inf)
    total = torch.logsumexp(real, dim=1, keepdim=True)
    nats = ((total - chosen) * counted_n1).sum()
    return nats, ((real - total).exp() - (columns == targets_n1).to(real.dtype)) * counted_n1


def _wide(value: Tensor) -> torch.dtype:
    return torch.promote_types(value.dtype, torch.float32)

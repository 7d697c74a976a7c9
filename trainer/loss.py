"""Cross-entropy of the output layer, a chunk of rows at a time: the logits of a whole micro-batch never exist.

torch 2.13's own fused loss (`F.linear_cross_entropy`) is not used: with bf16 inputs it adds its chunks up in bf16 and was measured to
return 9.19 where the truth is 10.88. Here products are of the input's type, and everything that is summed is fp32 or wider.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES_CPU = 1 << 28
CHUNK_BYTES_GPU = 1 << 30
"""At most so large a chunk of fp32 logits, unless 64 rows are more."""


def head_loss(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, padded_rows: int, at_a_time: int = 0) -> Tensor:
    """Mean loss in nats over the rows whose target is not negative, of V classes, though the product is made on `padded_rows` columns.

    Differentiable once.
    """
    device = hidden_ND.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        hidden_ND = hidden_ND.to(kind)
    rows = at_a_time or chunk_rows(len(targets_N), padded_rows, device)
    loss: Tensor = _HeadLoss.apply(hidden_ND, weight_VD, targets_N, padded_rows, rows)  # type: ignore[no-untyped-call]
    return loss


def chunk_rows(rows: int, columns: int, device: str) -> int:
    """Rows of logits at a time, where nobody says otherwise: in chunks of about one size."""
    budget = CHUNK_BYTES_CPU if device == "cpu" else CHUNK_BYTES_GPU
    most = max(1, budget // (4 * columns * 64))
    chunks = -(-rows // (64 * most))
    return 64 * -(-rows // (64 * chunks))


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
        targets_N, count = targets_N.clamp(min=0), counted_N.sum().clamp(min=1)
        d_hidden = torch.empty_like(hidden_ND) if differentiate else None
        d_weight = torch.zeros(padded_VD.shape, dtype=wide, device=hidden_ND.device) if differentiate else None
        for start in range(0, len(targets_N), chunk_rows):
            part = slice(start, start + chunk_rows)
            hidden, targets = hidden_ND[part], targets_N[part]
            nats, others, share, missed = _softmax(hidden @ padded_VD.T, targets, counted_N[part], classes)
            total += nats
            if d_hidden is not None and d_weight is not None:
                d_hidden[part] = (others @ padded_VD) * share - padded_VD[targets] * missed
                d_weight += others.T @ (hidden * share).to(hidden.dtype)
                d_weight.index_add_(0, targets, -(hidden * missed))
        if d_hidden is not None and d_weight is not None:
            ctx.save_for_backward(d_hidden, d_weight[:classes], count)
        return total / count

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight, count = ctx.saved_tensors
        scale = slope / count
        return d_hidden * scale.to(d_hidden.dtype), d_weight * scale, None, None, None


def _softmax(logits: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of a chunk: its summed loss; e to the logits less each row's largest, 0 at the target and beyond the classes; what to multiply a
    row of them with to make probabilities, 0 for a row that does not count; and the probability that went to others than the target.

    So one exponential a logit makes loss and slope. The slope at the target is not p - 1, which rounds away for a network that is sure,
    but less the sum of the others.
    """
    kind, wide = logits.dtype, _wide(logits)
    targets_n1, counted_n1 = targets_n[:, None], counted_n[:, None].to(wide)
    chosen = logits.gather(1, targets_n1).to(wide)
    if torch.compiler.is_compiling():
        columns = torch.arange(logits.shape[1], device=logits.device)
        real = logits.masked_fill(columns >= classes, -torch.inf).to(wide)
        peak = real.amax(dim=1, keepdim=True)
        others = (real - peak).exp().masked_fill(columns == targets_n1, 0)
    else:  # in place, each logit once: on CPU the passes over a chunk cost as much as its products
        others = logits.to(wide)
        del logits
        others[:, classes:] = -torch.inf
        peak = others.amax(dim=1, keepdim=True)
        others.sub_(peak).exp_().scatter_(1, targets_n1, 0)
    rest = others.sum(dim=1, keepdim=True)
    mass = rest + (chosen - peak).exp()
    share = counted_n1 / mass
    return ((mass.log() + peak - chosen) * counted_n1).sum(), others.to(kind), share, rest * share


def _wide(value: Tensor) -> torch.dtype:
    return torch.promote_types(value.dtype, torch.float32)

"""Cross-entropy of the output layer in chunks of rows, so that the logits of a whole micro-batch are never in memory.

torch 2.13's fused loss (`F.linear_cross_entropy`) sums its chunks in bf16 for bf16 inputs, and returned 9.19 where 10.88 is
correct. Here matrix products have the input's type, and sums are in fp32 or fp64.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES_CPU = 1 << 28
CHUNK_BYTES_GPU = 1 << 30
"""Maximum size of a chunk of fp32 logits, unless 64 rows exceed it."""

ROWS_IN_CACHE = 8
"""On one core, the loss of 8 rows at a time takes a quarter of the time of 256 rows (45 and 180 us per token)."""


def soft_capped(logits: Tensor, softcap: float) -> Tensor:
    """Logits bounded to ± `softcap` by tanh; unchanged for 0."""
    return softcap * torch.tanh(logits / softcap) if softcap else logits


def head_loss(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    padded_rows: int,
    chunk: int = 0,
    softcap: float = 0.0,
    padded_VD: Tensor | None = None,
) -> Tensor:
    """Mean loss in nats over the rows with a target >= 0. Differentiable once.

    The product is computed on V classes padded to `padded_rows`, for `chunk` rows at a time (0: `chunk_rows`). Logits are
    `soft_capped`. `padded_VD` is the `padded_head` in the type of the products, where one is at hand; gradients do not use it.
    """
    device = hidden_ND.device.type
    if torch.is_autocast_enabled(device):
        hidden_ND = hidden_ND.to(torch.get_autocast_dtype(device))
    rows = chunk or chunk_rows(len(targets_N), padded_rows, device)
    # asked here: inside an autograd.Function gradients are always off, and `needs_input_grad` ignores no_grad
    if not (torch.is_grad_enabled() and (hidden_ND.requires_grad or weight_VD.requires_grad)):
        if padded_VD is None:
            padded_VD = padded_head(weight_VD, padded_rows, hidden_ND.dtype)
        return mean_nats(hidden_ND, padded_VD, targets_N, len(weight_VD), rows, softcap)
    loss: Tensor = _HeadLoss.apply(hidden_ND, weight_VD, targets_N, padded_rows, rows, softcap)  # type: ignore[no-untyped-call]
    return loss


def padded_head(weight_VD: Tensor, padded_rows: int, dtype: torch.dtype) -> Tensor:
    """The output layer's weight in a type, with rows of zeros up to `padded_rows`."""
    return F.pad(weight_VD.to(dtype), (0, 0, 0, padded_rows - len(weight_VD)))


def mean_nats(hidden_ND: Tensor, padded_VD: Tensor, targets_N: Tensor, classes: int, chunk: int, softcap: float = 0.0) -> Tensor:
    """Mean loss in nats over the rows with a target >= 0, not differentiable: one product per chunk, and nothing for a gradient."""
    counted_N = targets_N >= 0
    targets_N = targets_N.clamp(min=0)
    total = torch.zeros((), dtype=_at_least_fp32(hidden_ND), device=hidden_ND.device)
    for start in range(0, len(targets_N), chunk):
        part = slice(start, start + chunk)
        logits = (hidden_ND[part] @ padded_VD.T)[:, :classes]
        total += (token_nats(logits, targets_N[part], softcap).to(total.dtype) * counted_N[part]).sum()
    return total / counted_N.sum().clamp(min=1)


def token_nats(logits: Tensor, targets_n: Tensor, softcap: float = 0.0) -> Tensor:
    """Nats of each target, in fp32 or wider. On a CPU a few rows at a time: they stay in its cache for every pass after the first."""
    rows = ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
    parts = []
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        wide = soft_capped(logits[part].to(_at_least_fp32(logits)), softcap)
        parts.append(F.log_softmax(wide, dim=1).gather(1, targets_n[part, None]))
    return -torch.cat(parts)[:, 0]


def chunk_rows(rows: int, columns: int, device: str) -> int:
    """Default number of rows per chunk: a multiple of 64 that gives chunks of about equal size."""
    budget = CHUNK_BYTES_CPU if device == "cpu" else CHUNK_BYTES_GPU
    most = max(1, budget // (4 * columns * 64))
    chunks = -(-rows // (64 * most))
    return 64 * -(-rows // (64 * chunks))


class _HeadLoss(torch.autograd.Function):
    """Computes the gradient together with the loss, while a chunk's logits exist: three matrix products, none repeated."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        padded_rows: int,
        chunk_rows: int,
        softcap: float,
    ) -> Tensor:
        classes = weight_VD.shape[0]
        padded_VD = padded_head(weight_VD, padded_rows, hidden_ND.dtype)
        wide = _at_least_fp32(hidden_ND)
        total = torch.zeros((), dtype=wide, device=hidden_ND.device)
        counted_N = targets_N >= 0
        targets_N, count = targets_N.clamp(min=0), counted_N.sum().clamp(min=1)
        d_hidden = torch.empty_like(hidden_ND)
        d_weight = torch.zeros(padded_VD.shape, dtype=wide, device=hidden_ND.device)
        for start in range(0, len(targets_N), chunk_rows):
            part = slice(start, start + chunk_rows)
            hidden, targets = hidden_ND[part], targets_N[part]
            softmax = _softmax if not softcap else partial(_capped_softmax, softcap)
            nats, others, share, missed = softmax(hidden @ padded_VD.T, targets, counted_N[part], classes)
            total += nats
            d_hidden[part] = (others @ padded_VD) * share - padded_VD[targets] * missed
            d_weight += others.T @ (hidden * share).to(hidden.dtype)
            d_weight.index_add_(0, targets, -(hidden * missed))
        ctx.save_for_backward(d_hidden, d_weight[:classes], count)
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight, count = ctx.saved_tensors
        scale = gradient / count
        return d_hidden * scale.to(d_hidden.dtype), d_weight * scale, None, None, None, None


def _softmax(logits: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four results for a chunk: summed loss, exponentials, factor per row, and probability of all classes but the target.

    The exponentials are exp(logit - largest logit of the row), with 0 at the target and in padding columns. Times the row's
    factor they are probabilities; the factor is 0 for a row that does not count. So loss and gradient share one exponential per
    logit. The gradient at the target is minus the sum of the other probabilities: p - 1 would round to 0 when p is close to 1.
    """
    kind, wide = logits.dtype, _at_least_fp32(logits)
    targets_n1, counted_n1 = targets_n[:, None], counted_n[:, None].to(wide)
    chosen = logits.gather(1, targets_n1).to(wide)
    if torch.compiler.is_compiling():
        columns = torch.arange(logits.shape[1], device=logits.device)
        real = logits.masked_fill(columns >= classes, -torch.inf).to(wide)
        peak = real.amax(dim=1, keepdim=True)
        others = (real - peak).exp().masked_fill(columns == targets_n1, 0)
    else:  # in place: on CPU, passes over a chunk cost as much as its matrix products
        others = logits.to(wide)
        del logits
        others[:, classes:] = -torch.inf
        peak = others.amax(dim=1, keepdim=True)
        others.sub_(peak).exp_().scatter_(1, targets_n1, 0)
    rest = others.sum(dim=1, keepdim=True)
    mass = rest + (chosen - peak).exp()
    share = counted_n1 / mass
    return ((mass.log() + peak - chosen) * counted_n1).sum(), others.to(kind), share, rest * share


def _capped_softmax(
    softcap: float, logits: Tensor, targets_n: Tensor, counted_n: Tensor, classes: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`_softmax` of soft-capped logits, with the exponentials and the target's probability times the slope of the cap."""
    wide, targets_n1 = _at_least_fp32(logits), targets_n[:, None]
    capped = soft_capped(logits.to(wide), softcap)
    slopes = 1 - (capped / softcap).square()
    nats, others, share, missed = _softmax(capped, targets_n, counted_n, classes)
    return nats, (others * slopes).to(logits.dtype), share, missed * slopes.gather(1, targets_n1)


def _at_least_fp32(value: Tensor) -> torch.dtype:
    return torch.promote_types(value.dtype, torch.float32)

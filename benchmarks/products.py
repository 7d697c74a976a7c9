"""The matrix products of GPT-2's layers and nothing else, at torch's own speed: no step and no evaluation here takes less."""

import time

import torch

from trainer.config import ModelConfig


def seconds(shape: ModelConfig, tokens: int, dtype: torch.dtype, *, backward: bool) -> float:
    """Wall seconds of all linear layers' products over so many tokens; with those of both gradients, three times as many.

    Attention's own products are left out: 2 T / (12 d + V / L) of them, a few per cent at these shapes.
    """
    width = shape.width
    layers = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)] * shape.layers
    makers = [_product(tokens, a, b, dtype) for a, b in dict.fromkeys(layers)]
    counted = {pair: layers.count(pair) for pair in dict.fromkeys(layers)}
    head = _product(tokens, width, shape.vocabulary, dtype)
    began = time.perf_counter()
    for (left, right, slope), times in zip([*makers, head], [*counted.values(), 1], strict=True):
        for _ in range(times):
            out = left @ right
            if backward:
                torch.mm(slope, right.T)
                torch.mm(left.T, slope)
    del out
    return time.perf_counter() - began


def _product(rows: int, inner: int, columns: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype), torch.randn(rows, columns).to(dtype)

"""The matrix products of GPT-2's layers alone, at torch's speed: a lower bound for the time of a training step or an evaluation."""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from trainer.config import ModelConfig
from trainer.evals.candidate import Network, Prefix
from trainer.model import GPT

STEP_ROWS, READING_ROWS = 2048, 256
"""Maximal rows per product: in a step, which must keep its results, and in an evaluation, which need not."""


@dataclass(frozen=True, slots=True)
class _Product:
    """Operands of rows times a weight and of both gradients, with preallocated results."""

    left: Tensor
    weight: Tensor
    slope: Tensor
    out: Tensor
    left_slope: Tensor
    weight_slope: Tensor

    @classmethod
    def of(cls, rows: int, inner: int, columns: int, dtype: torch.dtype) -> Self:
        sizes = ((rows, inner), (inner, columns), (rows, columns))
        left, weight, slope = (torch.randn(*size).to(dtype) for size in sizes)
        return cls(left, weight, slope, torch.empty_like(slope), torch.empty_like(left), torch.empty_like(weight))

    def multiply(self, rows: int, *, backward: bool) -> None:
        torch.mm(self.left[:rows], self.weight, out=self.out[:rows])
        if backward:
            torch.mm(self.slope[:rows], self.weight.T, out=self.left_slope[:rows])
            torch.mm(self.left[:rows].T, self.slope[:rows], out=self.weight_slope)


def seconds(shape: ModelConfig, read: int, scored: int, dtype: torch.dtype, *, backward: bool) -> float:
    """Return the wall seconds of the linear layers' products over `read` tokens, and of the output layer's over `scored` tokens.

    `backward` adds the products of both gradients, which triples the work. Attention's own products are left out: they are
    2 T / (12 d + V / L) of the work, a few per cent at these shapes.
    """
    width, most = shape.width, STEP_ROWS if backward else READING_ROWS
    layers = Counter([(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)] * shape.layers)
    works = [(_Product.of(min(read, most), *sizes, dtype), read, times) for sizes, times in layers.items()]
    works.append((_Product.of(min(scored, most), width, shape.padded_rows, dtype), scored, 1))
    for product, rows, _ in works:
        product.multiply(min(rows, most), backward=backward)
    began = time.perf_counter()
    for product, rows, times in works:
        for start in [*range(0, rows, most)] * times:
            product.multiply(min(most, rows - start), backward=backward)
    return time.perf_counter() - began


class CountingNetwork(Network):
    """A network that counts the tokens that it reads, with padding, and the rows of logits that it computes."""

    def __init__(self, gpt: GPT) -> None:
        super().__init__(gpt)
        self.read_tokens = self.scored_tokens = 0

    def features(self, tokens: Tensor, prefix: Prefix | None = None) -> Tensor:
        """Count the tokens and compute the residual stream after the last block."""
        self.read_tokens += tokens.numel()
        return super().features(tokens, prefix)

    def read(self, tokens: Tensor) -> Prefix:
        """Count the tokens and compute keys and values of a prefix."""
        self.read_tokens += len(tokens)
        return super().read(tokens)

    def logits(self, features: Tensor) -> Tensor:
        """Count the rows and compute their logits."""
        self.scored_tokens += len(features)
        return super().logits(features)

"""GPT-2: pre-layer-norm, learned positions, biases, tanh GELU, tied embedding. ModelConfig switches on every deviation.

Tensor names end in their axes: B rows of the micro-batch, T tokens, D width, H heads, V classes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.attention import Attention, Documents, KeyValueCache
from trainer.config import ModelConfig
from trainer.loss import head_loss

__all__ = ["GPT", "Block", "FeedForward"]

STANDARD_DEVIATION = 0.02
"""Standard deviation of initial weights. Projections into the residual stream are scaled by 1/sqrt(2·layers) (section 2.3)."""

NORM_EPSILON = 1e-5


class FeedForward(nn.Module):
    """Feed-forward layer: linear to four times the width, activation, linear back."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.up = nn.Linear(config.width, 4 * config.width)
        self.projection = nn.Linear(4 * config.width, config.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Output for each token on its own, (B, T, D)."""
        h = self.up(x_BTD)
        h = F.gelu(h, approximate="tanh") if self.activation == "gelu" else F.relu(h).square()
        output_BTD: Tensor = self.projection(h)
        return output_BTD


class Block(nn.Module):
    """Attention, then feed-forward. Each reads the normalized residual stream and adds its output to it."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(config.width, NORM_EPSILON)
        self.attention = Attention(config, layer)
        self.norm_2 = nn.LayerNorm(config.width, NORM_EPSILON)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTD: Tensor, positions_BT: Tensor, documents: Documents | None, cache: KeyValueCache | None) -> Tensor:
        """Residual stream after the block, (B, T, D)."""
        x_BTD = x_BTD + self.dropout(self.attention(self.norm_1(x_BTD), positions_BT, documents, cache))
        output_BTD: Tensor = self.dropout(self.feed_forward(self.norm_2(x_BTD)))
        return x_BTD + output_BTD


class GPT(nn.Module):
    """The network. Its parameter count equals GPT-2's, because the output layer's padding rows exist only during the loss."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width) if config.positions == "learned" else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.width, NORM_EPSILON)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.recompute = False
        self.loss_rows = 0

    def init_weights(self, seed: int) -> None:
        """Initialize all weights from a generator on the CPU, so that they do not depend on device or rank."""
        generator = torch.Generator().manual_seed(seed)
        residual = STANDARD_DEVIATION / math.sqrt(2 * self.config.layers)
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                nn.init.constant_(parameter, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
            elif name.endswith("projection.weight"):
                _fill_normal(parameter, 0.0 if self.config.zero_projections else residual, generator)
            else:
                _fill_normal(parameter, STANDARD_DEVIATION, generator)

    def forward(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor | None = None,
        documents: Documents | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Logits (B, T, V); with targets, the mean loss in nats per token, computed without all logits in memory at once."""
        h_BTD = self.hidden(tokens_BT, documents, cache)
        weight_VD = self.token_embedding.weight if self.head is None else self.head.weight
        if targets_BT is None:
            return F.linear(h_BTD, weight_VD)
        return head_loss(h_BTD.flatten(0, 1), weight_VD, targets_BT.flatten(), self.config.padded_rows, self.loss_rows)

    def hidden(self, tokens_BT: Tensor, documents: Documents | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """Normalized residual stream (B, T, D) after the last block."""
        positions_BT = self._positions(tokens_BT, cache)
        x_BTD = self.token_embedding(tokens_BT)
        if self.position_embedding is not None:
            x_BTD = x_BTD + self.position_embedding(positions_BT)
        x_BTD = self.dropout(x_BTD)
        for block in self.blocks:
            if self.recompute and self.training:
                x_BTD = checkpoint(block, x_BTD, positions_BT, documents, cache, use_reentrant=False)
            else:
                x_BTD = block(x_BTD, positions_BT, documents, cache)
        if cache is not None:
            cache.length += tokens_BT.shape[1]
        h_BTD: Tensor = self.norm(x_BTD)
        return h_BTD

    def _positions(self, tokens_BT: Tensor, cache: KeyValueCache | None) -> Tensor:
        window = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        if cache is None:
            return window
        return (window + cache.length - cache.padding_B[:, None]).clamp(min=0)


def _fill_normal(parameter: Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill with normal samples drawn on the CPU in fp32, whatever the parameter's device and type."""
    if parameter.is_meta:
        return
    values = torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator)
    with torch.no_grad():
        parameter.copy_(values)

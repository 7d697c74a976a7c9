"""GPT-2: pre-layer-norm, learned positions, biases, tanh GELU, tied embedding. ModelConfig switches on every deviation.

Tensor names end in their axes: B rows of the micro-batch, T tokens, D width, H heads, V classes.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.attention import Attention, Documents, KeyValueCache
from trainer.config import ModelConfig
from trainer.loss import head_loss, padded_head, soft_capped
from trainer.sharded import copy_whole

__all__ = ["GPT", "NORM_EPSILON", "STANDARD_DEVIATION", "Block", "FeedForward", "RMSNorm"]

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


class RMSNorm(nn.Module):
    """Division by the root mean square, without parameters."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The normalized residual stream, (B, T, D)."""
        return F.rms_norm(x_BTD, x_BTD.shape[-1:])


def _norm(config: ModelConfig) -> nn.Module:
    return nn.LayerNorm(config.width, NORM_EPSILON) if config.norm == "layer" else RMSNorm()


class Block(nn.Module):
    """Attention, then feed-forward. Each reads the normalized residual stream and adds its output to it."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.norm_1 = _norm(config)
        self.attention = Attention(config, layer)
        self.norm_2 = _norm(config)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)
        self.recompute = False

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor,
        documents: Documents | None,
        cache: KeyValueCache | None,
        values_BTD: Tensor | None = None,
    ) -> Tensor:
        """Residual stream after the block, (B, T, D). With `recompute`, training keeps only the block's input."""
        inputs = (x_BTD, positions_BT, documents, cache, values_BTD)
        if self.recompute and self.training:
            recomputed: Tensor = checkpoint(self._run, *inputs, use_reentrant=False)
            return recomputed
        return self._run(*inputs)

    def _run(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor,
        documents: Documents | None,
        cache: KeyValueCache | None,
        values_BTD: Tensor | None,
    ) -> Tensor:
        x_BTD = x_BTD + self.dropout(self.attention(self.norm_1(x_BTD), positions_BT, documents, cache, values_BTD))
        output_BTD: Tensor = self.dropout(self.feed_forward(self.norm_2(x_BTD)))
        return x_BTD + output_BTD


class GPT(nn.Module):
    """The network. Its parameter count equals GPT-2's, because the output layer's padding rows exist only during the loss."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        kind = torch.bfloat16 if config.bf16_embeddings else None
        self.token_embedding = nn.Embedding(config.vocabulary, config.width, dtype=kind)
        self.position_embedding = (
            nn.Embedding(config.context, config.width, dtype=kind) if config.positions == "learned" else None
        )
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = _norm(config)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)
        self.skip_L = nn.Parameter(torch.zeros(config.layers)) if config.skips else None
        self.value_embedding = nn.Embedding(config.vocabulary, config.width, dtype=kind) if config.value_embeddings else None
        self.loss_rows = 0
        self.fp32_stream = False
        self._kept_head: Tensor | None = None

    def recompute_blocks(self, recompute: bool) -> None:
        """Whether blocks recompute their activations in the backward pass instead of keeping them."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.recompute = recompute

    def init_weights(self, seed: int) -> None:
        """Initialize all weights from a generator on the CPU, so that they do not depend on device, rank or sharding."""
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
        x_BTD = self._stream(tokens_BT, documents, cache)
        if targets_BT is not None:
            return self.stream_loss(x_BTD, targets_BT)
        return soft_capped(F.linear(self.norm(x_BTD), self._head_weight), self.config.softcap)

    def hidden(self, tokens_BT: Tensor, documents: Documents | None = None, cache: KeyValueCache | None = None) -> Tensor:
        """Normalized residual stream (B, T, D) after the last block."""
        h_BTD: Tensor = self.norm(self._stream(tokens_BT, documents, cache))
        return h_BTD

    def stream_loss(self, x_BTD: Tensor, targets_BT: Tensor) -> Tensor:
        """Mean loss in nats per token of the residual stream after the last block: final norm, output layer, cross-entropy."""
        h_ND = self.norm(x_BTD).flatten(0, 1)
        config, targets_N = self.config, targets_BT.flatten()
        return head_loss(h_ND, self._head_weight, targets_N, config.padded_rows, self.loss_rows, config.softcap, self._kept_head)

    @contextmanager
    def keeping_head(self) -> Iterator[None]:
        """Cast and pad the output layer once for all losses without a gradient in the block, in which no weight may change."""
        weight_VD = self._head_weight.detach()
        device = weight_VD.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VD.dtype
        self._kept_head = padded_head(weight_VD, self.config.padded_rows, dtype)
        try:
            yield
        finally:
            self._kept_head = None

    @property
    def embeddings(self) -> list[nn.Embedding]:
        """The embeddings of tokens, positions and values."""
        return [part for part in (self.token_embedding, self.position_embedding, self.value_embedding) if part is not None]

    @property
    def block_type(self) -> torch.dtype:
        """The type of the blocks' weights; embeddings may be narrower."""
        block = self.blocks[0]
        assert isinstance(block, Block)
        return block.attention.qkv.weight.dtype

    @property
    def _head_weight(self) -> Tensor:
        return self.token_embedding.weight if self.head is None else self.head.weight

    def _stream(self, tokens_BT: Tensor, documents: Documents | None, cache: KeyValueCache | None) -> Tensor:
        """Residual stream (B, T, D) after the last block, under autocast in its type unless `fp32_stream`."""
        positions_BT = self._positions(tokens_BT, cache)
        wide = self.block_type
        x_BTD: Tensor = self.token_embedding(tokens_BT).to(wide)
        if self.position_embedding is not None:
            x_BTD = x_BTD + self.position_embedding(positions_BT).to(wide)
        x_BTD = self.dropout(x_BTD)
        device = x_BTD.device.type
        if device != "meta" and torch.is_autocast_enabled(device) and not self.fp32_stream:
            x_BTD = x_BTD.to(torch.get_autocast_dtype(device))
        values_BTD = None if self.value_embedding is None else self.value_embedding(tokens_BT).to(x_BTD.dtype)
        embedding_BTD, ends = x_BTD, (0, self.config.layers - 1)
        for layer, block in enumerate(self.blocks):
            if self.skip_L is not None:
                x_BTD = x_BTD + self.skip_L[layer].to(x_BTD.dtype) * embedding_BTD
            x_BTD = block(x_BTD, positions_BT, documents, cache, values_BTD if layer in ends else None)
        if cache is not None:
            cache.length += tokens_BT.shape[1]
        return x_BTD

    def _positions(self, tokens_BT: Tensor, cache: KeyValueCache | None) -> Tensor:
        window = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        if cache is None:
            return window
        return (window + cache.length - cache.padding_B[:, None]).clamp(min=0)


def _fill_normal(parameter: Tensor, deviation: float, generator: torch.Generator) -> None:
    """Fill with normal samples drawn on the CPU in fp32, whatever the parameter's device and type."""
    if parameter.is_meta:
        return
    copy_whole(parameter, torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator))

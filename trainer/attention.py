"""Causal self-attention over a window, over the documents within a window, and over a key-value cache."""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn

from trainer.config import ModelConfig

ROTARY_BASE = 10_000.0


@dataclass(frozen=True, slots=True)
class Documents:
    """What each token of a micro-batch attends to, as a mask or as cumulative lengths for a variable-length kernel.

    `mask` is (B or 1, 1, T, T) and already causal. `lengths` is int32 over the B·T tokens as one row: [0, 5, 9, …, B·T, B·T];
    `nearest` is then the most tokens that a token attends to, itself included.
    """

    mask: Tensor | None = None
    lengths: Tensor | None = None
    longest: int = 0
    nearest: int = 0

    @classmethod
    def of_ids(cls, ids_BT: Tensor, nearest: int | None = None) -> Self:
        """Mask from each token's document number within its window, of the `nearest` tokens or of all."""
        same_BTT = ids_BT[:, :, None] == ids_BT[:, None, :]
        return cls(mask=_band(same_BTT, nearest)[:, None])

    @classmethod
    def of_batch(
        cls, documents: Tensor | None, inputs_BT: Tensor, *, nearest: int | None = None, flat: bool = False
    ) -> Self | None:
        """From `MicroBatch.documents`: None, document numbers (B, T), or cumulative lengths. None where all earlier tokens count.

        With `nearest`, a token attends to so many tokens at most, itself included. `flat`: where there are no documents, take
        lengths, not a mask.
        """
        batch, context = inputs_BT.shape
        if nearest is not None and nearest >= context:
            nearest = None
        if documents is not None and documents.ndim == 2:
            return cls.of_ids(documents, nearest)
        if documents is not None:
            return cls(lengths=documents, longest=context, nearest=nearest or context)
        if nearest is None:
            return None
        if flat:
            lengths = torch.arange(0, (batch + 1) * context, context, dtype=torch.int32, device=inputs_BT.device)
            return cls(lengths=lengths, longest=context, nearest=nearest)
        every_1TT = torch.ones((1, context, context), dtype=torch.bool, device=inputs_BT.device)
        return cls(mask=_band(every_1TT, nearest)[:, None])


def _band(mask_BTT: Tensor, nearest: int | None) -> Tensor:
    """The mask of a token's predecessors and itself: all of them, or the `nearest`."""
    causal_BTT = mask_BTT.tril()
    return causal_BTT if nearest is None else causal_BTT.triu(1 - nearest)


class KeyValueCache:
    """Keys and values of the tokens read so far, for all layers. `padding_B` is the number of padding tokens left of each row."""

    def __init__(self, config: ModelConfig, padding_B: Tensor, *, dtype: torch.dtype) -> None:
        shape = (config.layers, len(padding_B), config.heads, config.context, config.head_width)
        self.keys = torch.zeros(shape, dtype=dtype, device=padding_B.device)
        self.values = torch.zeros_like(self.keys)
        self.padding_B = padding_B
        self.length = 0

    def extend(self, layer: int, keys_BHTD: Tensor, values_BHTD: Tensor) -> tuple[Tensor, Tensor]:
        """Append a layer's newest keys and values; return all of its keys and values."""
        stop = self.length + keys_BHTD.shape[2]
        self.keys[layer, :, :, self.length : stop] = keys_BHTD
        self.values[layer, :, :, self.length : stop] = values_BHTD
        return self.keys[layer, :, :, :stop], self.values[layer, :, :, :stop]

    def mask(self, queries: int) -> Tensor:
        """Mask (B, 1, Q, K) of the newest `queries` tokens: earlier tokens, not padding. A padding token attends to itself."""
        keys = torch.arange(self.length + queries, device=self.padding_B.device)
        own = keys[self.length :, None]
        visible_BQK = (keys <= own) & (keys >= self.padding_B[:, None, None]) | (keys == own)
        return visible_BQK[:, None]


class Attention(nn.Module):
    """Multi-head causal attention: GPT-2's, unless the configuration enables rotary positions or QK-norm."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.projection = nn.Linear(config.width, config.width)

    def forward(
        self,
        x_BTD: Tensor,
        positions_BT: Tensor,
        documents: Documents | None,
        cache: KeyValueCache | None,
        values_BTD: Tensor | None = None,
    ) -> Tensor:
        """Weighted values of each token's predecessors, (B, T, D). `values_BTD` is added to the values."""
        shape = (*x_BTD.shape[:2], self.config.heads, self.config.head_width)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(x_BTD).chunk(3, dim=-1))
        if values_BTD is not None:
            v = v + values_BTD.to(v.dtype).view(shape).transpose(1, 2)
        if self.config.qk_norm:
            q, k = (F.rms_norm(part, part.shape[-1:]) for part in (q, k))
        if self.config.positions == "rotary":
            q, k = rotate(q, positions_BT), rotate(k, positions_BT)
        y_BHTD = self._attend(q.to(v.dtype), k.to(v.dtype), v, documents, cache)
        output_BTD: Tensor = self.projection(y_BHTD.transpose(1, 2).flatten(2))
        return output_BTD

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, documents: Documents | None, cache: KeyValueCache | None) -> Tensor:
        dropout = self.config.dropout if self.training else 0.0
        if cache is not None:
            keys, values = cache.extend(self.layer, k, v)
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=cache.mask(q.shape[2]))
        if documents is None:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        if documents.lengths is not None:
            return _attend_varlen(q, k, v, documents)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=documents.mask, dropout_p=dropout)


def _attend_varlen(q: Tensor, k: Tensor, v: Tensor, documents: Documents) -> Tensor:
    """Attention over all windows as one row of documents. The kernel never crosses a document boundary."""
    batch, _, window, _ = q.shape
    lengths, longest = documents.lengths, documents.longest
    assert lengths is not None
    before = documents.nearest - 1 if documents.nearest < longest else -1
    flat_q, flat_k, flat_v = (part.transpose(1, 2).flatten(0, 1) for part in (q, k, v))
    y = varlen_attn(flat_q, flat_k, flat_v, lengths, lengths, longest, longest, window_size=(before, 0))
    assert isinstance(y, Tensor)
    return y.view(batch, window, *y.shape[1:]).transpose(1, 2)


def rotate(x_BHTD: Tensor, positions_BT: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864): rotate each pair (i, i + D/2) of a head by position · base^(-2i/D)."""
    half = x_BHTD.shape[-1] // 2
    rates = ROTARY_BASE ** (-torch.arange(half, device=x_BHTD.device, dtype=torch.float32) / half)
    angles_B1TD = (positions_BT[:, None, :, None] * rates).to(torch.float32)
    cosine, sine = angles_B1TD.cos().to(x_BHTD.dtype), angles_B1TD.sin().to(x_BHTD.dtype)
    first, second = x_BHTD[..., :half], x_BHTD[..., half:]
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)

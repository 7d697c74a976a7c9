"""The candidate under evaluation: a language model as the tasks see it, and its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.attention import KeyValueCache
from trainer.generate import generate
from trainer.loss import soft_capped
from trainer.model import GPT

Prefix = Any
"""A model's state after the tokens that it has read; opaque to the tasks."""


class LanguageModel(Protocol):
    """Next-token logits in two steps: features of every position, then logits of the positions that are scored."""

    context_tokens: int
    vocabulary: int
    device: torch.device

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """One vector per position (B, T, …), as input for `logits`. The tokens follow `prefix`, if given."""

    def logits(self, features_ND: Tensor) -> Tensor:
        """Logits (N, V) of N feature vectors. The caller may change them; the next call overwrites them."""

    def read(self, tokens_T: Tensor) -> Prefix:
        """Read a prefix that several continuations share."""

    def generate(
        self, prompts: list[list[int]], new_tokens: int, *, top_k: int | None, seed: int, stop_id: int
    ) -> list[list[int]]:
        """Continue each prompt up to `stop_id`, greedily or by sampling from the `top_k` most likely tokens."""


class Codec(Protocol):
    """The tokenizer methods that tasks use."""

    @property
    def eot_id(self) -> int:
        """Id of the end of text, which also precedes the first token of a text."""

    def encode(self, text: str) -> Sequence[int]:
        """Ids of the text, without end of text."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids."""


class Network:
    """A GPT as a LanguageModel. Logits reuse one buffer: allocating one per chunk costs as much as the product (docs/log.md).

    The output layer is stored transposed and padded to a multiple of 64 classes.
    """

    def __init__(self, gpt: GPT, precision: str = "fp32") -> None:
        self.gpt = gpt.eval()
        self.context_tokens = gpt.config.context
        self.vocabulary = gpt.config.vocabulary
        weight_VD = gpt.token_embedding.weight.detach() if gpt.head is None else gpt.head.weight.detach()
        self.device = weight_VD.device
        self._is_bf16 = precision == "bf16"
        self._dtype = torch.bfloat16 if self._is_bf16 else weight_VD.dtype
        padded_VD = F.pad(weight_VD, (0, 0, 0, gpt.config.padded_rows - self.vocabulary))
        self._head_DV = padded_VD.T.to(self._dtype).contiguous()
        self._buffer = torch.empty(0, gpt.config.padded_rows, dtype=self._dtype, device=self.device)

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """Residual stream after the last block and the final layer norm."""
        with self._autocast():
            return self.gpt.hidden(tokens_BT, cache=None if prefix is None else _repeat(prefix, tokens_BT, self.gpt))

    def logits(self, features_ND: Tensor) -> Tensor:
        """Logits in fp32 or wider."""
        if len(self._buffer) < len(features_ND):
            self._buffer = self._buffer.new_empty(len(features_ND), self._buffer.shape[1])
        logits = torch.mm(features_ND.to(self._dtype), self._head_DV, out=self._buffer[: len(features_ND)])[:, : self.vocabulary]
        return soft_capped(logits.to(torch.promote_types(logits.dtype, torch.float32)), self.gpt.config.softcap)

    def read(self, tokens_T: Tensor) -> Prefix:
        """KeyValueCache with the keys and values of the prefix."""
        cache = _new_cache(self.gpt, 1, len(tokens_T), self._dtype)
        with self._autocast():
            self.gpt.hidden(tokens_T[None], cache=cache)
        return cache

    def generate(
        self, prompts: list[list[int]], new_tokens: int, *, top_k: int | None, seed: int, stop_id: int
    ) -> list[list[int]]:
        """Continue the prompts with a key-value cache."""
        temperature = 0.0 if top_k is None else 1.0
        with self._autocast():
            return generate(self.gpt, prompts, new_tokens, temperature, top_k, seed=seed, stop_id=stop_id)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bf16)


def _new_cache(gpt: GPT, rows: int, tokens: int, dtype: torch.dtype) -> KeyValueCache:
    """KeyValueCache with room for `tokens` only: ten rows with the whole context of GPT-2 small would take 0.75 GB."""
    padding = torch.zeros(rows, dtype=torch.long, device=gpt.token_embedding.weight.device)
    return KeyValueCache(replace(gpt.config, context=tokens), padding, dtype=dtype)


def _repeat(prefix: KeyValueCache, tokens_BT: Tensor, gpt: GPT) -> KeyValueCache:
    """Copy a prefix's cache for each row of `tokens_BT`; the rows' own tokens do not change the prefix."""
    rows, tokens = tokens_BT.shape
    cache = _new_cache(gpt, rows, prefix.length + tokens, prefix.keys.dtype)
    cache.keys[:, :, :, : prefix.length] = prefix.keys[:, :, :, : prefix.length]
    cache.values[:, :, :, : prefix.length] = prefix.values[:, :, :, : prefix.length]
    cache.length = prefix.length
    return cache


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, its tokenizer, and how tasks run it. `strides` are for sliding windows; `limit` is the most examples per task."""

    model: LanguageModel
    tokenizer: Codec
    strides: tuple[int, ...] = ()
    batch_tokens: int = 8192
    limit: int | None = None

    @property
    def window_tokens(self) -> int:
        """Tokens of a sliding window: the model's whole context."""
        return self.model.context_tokens

    def at_most_window(self, strides: Sequence[int]) -> tuple[int, ...]:
        """The strides, each cut to a window: a longer one would leave tokens out. Equal ones count once."""
        return tuple(dict.fromkeys(min(stride, self.window_tokens) for stride in strides))

    def stream(self, text: str) -> list[int]:
        """Ids of a text, with an end of text first as its beginning."""
        return [self.tokenizer.eot_id, *self.tokenizer.encode(text)]

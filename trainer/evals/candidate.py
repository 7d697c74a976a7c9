"""What is examined: a language model as the tasks see it, and its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.attention import Cache
from trainer.generate import generate
from trainer.model import GPT

Prefix = Any
"""What a model remembers of tokens it has read: opaque to the tasks."""


class LanguageModel(Protocol):
    """Next-token logits in two steps, so that they are made only where they are asked for and never kept."""

    context_tokens: int
    device: torch.device

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """One vector a position (B, T, …), from which `logits` gives the next token's; after `prefix`, where there is one."""

    def logits(self, features_ND: Tensor) -> Tensor:
        """(N, V) of N such vectors, the caller's to change."""

    def read(self, tokens_T: Tensor) -> Prefix:
        """Read a prefix once, for many continuations."""

    def generate(
        self, prompts: list[list[int]], new_tokens: int, *, top_k: int | None, seed: int, stop_id: int
    ) -> list[list[int]]:
        """Continue each prompt up to `stop_id`: the likeliest token, or a drawn one of the `top_k` likeliest."""


class Codec(Protocol):
    """What tasks need of a tokenizer."""

    @property
    def eot_id(self) -> int:
        """The end of text, which also stands before a text's first token."""

    def encode(self, text: str) -> Sequence[int]:
        """Ids without end of text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids."""


class Network:
    """A GPT as a LanguageModel; the output layer runs on a multiple of 64 rows (measured on CPU: 2.4x)."""

    def __init__(self, gpt: GPT, precision: str = "fp32") -> None:
        self.gpt = gpt.eval()
        self.context_tokens = gpt.config.context
        weight_VD = gpt.token_embedding.weight if gpt.head is None else gpt.head.weight
        self.device = weight_VD.device
        self._classes = gpt.config.vocabulary
        self._padded = F.pad(weight_VD.detach(), (0, 0, 0, gpt.config.padded_rows - self._classes))
        self._autocast = precision == "bf16"

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """The normalised stream above the last block."""
        with self._mode():
            return self.gpt.hidden(tokens_BT, cache=None if prefix is None else _spread(prefix, len(tokens_BT), self.gpt))

    def logits(self, features_ND: Tensor) -> Tensor:
        """fp32 or wider."""
        with self._mode():
            logits = F.linear(features_ND, self._padded)[:, : self._classes]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def read(self, tokens_T: Tensor) -> Prefix:
        """Keys and values of the prefix."""
        cache = _empty(self.gpt, 1, self._kind())
        with self._mode():
            self.gpt.hidden(tokens_T[None], cache=cache)
        return cache

    def generate(
        self, prompts: list[list[int]], new_tokens: int, *, top_k: int | None, seed: int, stop_id: int
    ) -> list[list[int]]:
        """With keys and values kept."""
        temperature = 0.0 if top_k is None else 1.0
        with self._mode():
            return generate(self.gpt, prompts, new_tokens, temperature, top_k, seed=seed, stop_id=stop_id)

    def _kind(self) -> torch.dtype:
        return torch.bfloat16 if self._autocast else self._padded.dtype

    def _mode(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast)


def _empty(gpt: GPT, rows: int, kind: torch.dtype) -> Cache:
    device = gpt.token_embedding.weight.device
    return Cache(gpt.config, torch.zeros(rows, dtype=torch.long, device=device), dtype=kind)


def _spread(prefix: Cache, rows: int, gpt: GPT) -> Cache:
    """The same prefix for `rows` continuations; what they add is not seen by the next ones."""
    cache = _empty(gpt, rows, prefix.keys.dtype)
    cache.keys[:, :, :, : prefix.length] = prefix.keys[:, :, :, : prefix.length]
    cache.values[:, :, :, : prefix.length] = prefix.values[:, :, :, : prefix.length]
    cache.length = prefix.length
    return cache


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with its tokenizer, and how the tasks read text with it. `strides` are those of sliding windows."""

    model: LanguageModel
    tokenizer: Codec
    strides: tuple[int, ...] = ()
    batch_tokens: int = 8192
    limit: int | None = None

    @property
    def window_tokens(self) -> int:
        """Of sliding windows: the model's whole context."""
        return self.model.context_tokens

    def stream(self, text: str) -> list[int]:
        """Ids of a text after the end of text that stands for its beginning."""
        return [self.tokenizer.eot_id, *self.tokenizer.encode(text)]

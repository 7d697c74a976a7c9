"""What is examined: a language model as the tasks see it, and its tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.attention import KeyValueCache
from trainer.generate import generate
from trainer.model import GPT

Prefix = Any
"""What a model remembers of tokens it has read: opaque to the tasks."""


class LanguageModel(Protocol):
    """Next-token logits in two steps, so that they are made only where they are asked for and never kept."""

    context_tokens: int
    vocabulary: int
    device: torch.device

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """One vector a position (B, T, …), from which `logits` gives the next token's; after `prefix`, where there is one."""

    def logits(self, features_ND: Tensor) -> Tensor:
        """(N, V) of N such vectors, the caller's to change until it asks for the next ones."""

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
    """A GPT as a LanguageModel. The output layer is kept transposed, on a multiple of 64 classes, and its logits have one place in memory:
    a new one for each chunk would cost as much as the product (docs/log.md).
    """

    def __init__(self, gpt: GPT, precision: str = "fp32") -> None:
        self.gpt = gpt.eval()
        self.context_tokens = gpt.config.context
        self.vocabulary = gpt.config.vocabulary
        weight_VD = gpt.token_embedding.weight.detach() if gpt.head is None else gpt.head.weight.detach()
        self.device = weight_VD.device
        self._autocast = precision == "bf16"
        self._kind = torch.bfloat16 if self._autocast else weight_VD.dtype
        padded_VD = F.pad(weight_VD, (0, 0, 0, gpt.config.padded_rows - self.vocabulary))
        self._head_DV = padded_VD.T.to(self._kind).contiguous()
        self._logits = torch.empty(0, gpt.config.padded_rows, dtype=self._kind, device=self.device)

    def features(self, tokens_BT: Tensor, prefix: Prefix | None = None) -> Tensor:
        """The normalised stream above the last block."""
        with self._mode():
            return self.gpt.hidden(tokens_BT, cache=None if prefix is None else _spread(prefix, tokens_BT, self.gpt))

    def logits(self, features_ND: Tensor) -> Tensor:
        """fp32 or wider."""
        if len(self._logits) < len(features_ND):
            self._logits = self._logits.new_empty(len(features_ND), self._logits.shape[1])
        logits = torch.mm(features_ND.to(self._kind), self._head_DV, out=self._logits[: len(features_ND)])[:, : self.vocabulary]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def read(self, tokens_T: Tensor) -> Prefix:
        """Keys and values of the prefix."""
        cache = _empty(self.gpt, 1, len(tokens_T), self._kind)
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

    def _mode(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast)


def _empty(gpt: GPT, rows: int, tokens: int, kind: torch.dtype) -> KeyValueCache:
    """With room for so many tokens and no more: ten candidates with a whole context of GPT-2 small each would take 0.75 GB."""
    padding = torch.zeros(rows, dtype=torch.long, device=gpt.token_embedding.weight.device)
    return KeyValueCache(replace(gpt.config, context=tokens), padding, dtype=kind)


def _spread(prefix: KeyValueCache, tokens_BT: Tensor, gpt: GPT) -> KeyValueCache:
    """The same prefix for each of the rows; what they add is not seen by the next ones."""
    rows, tokens = tokens_BT.shape
    cache = _empty(gpt, rows, prefix.length + tokens, prefix.keys.dtype)
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

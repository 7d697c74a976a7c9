"""Activations of a network on a text: attention, residual stream and next-token probabilities, from one forward pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from trainer.attention import Attention, rotate
from trainer.model import GPT


@dataclass(frozen=True, slots=True)
class Activations:
    """Activations on a text of T tokens in L layers of H heads and width D.

    `stream_LTD` is the residual stream before the first block and after each block: L + 1 entries. `probabilities_TV` is the
    prediction of the next token after each token.
    """

    ids: tuple[int, ...]
    attention_LHTT: Tensor
    stream_LTD: Tensor
    probabilities_TV: Tensor

    @property
    def nats(self) -> list[float]:
        """Loss of each token except the first, in nats."""
        targets = torch.tensor(self.ids[1:])
        return (-self.probabilities_TV[:-1].gather(1, targets[:, None]).log())[:, 0].tolist()

    def most_likely(self, position: int, count: int) -> list[tuple[int, float]]:
        """The `count` most likely tokens after a position, with their probabilities."""
        top = self.probabilities_TV[position].topk(min(count, self.probabilities_TV.shape[1]))
        return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def record_activations(gpt: GPT, ids: Sequence[int]) -> Activations:
    """Activations on a text. Raises ValueError if the text is empty or longer than the context."""
    if not 1 <= len(ids) <= gpt.config.context:
        raise ValueError(f"{len(ids)} tokens: must be at least 1 and at most the context of {gpt.config.context}")
    device = gpt.token_embedding.weight.device
    was_training = gpt.training
    gpt.eval()
    with torch.inference_mode(), _hooks(gpt) as (streams, projections):
        logits_TV = gpt(torch.tensor([list(ids)], device=device))[0]
        modules = [cast("Attention", block.attention) for block in gpt.blocks]
        attention = [attention_weights(module, qkv) for module, qkv in zip(modules, projections, strict=True)]
    gpt.train(was_training)
    return Activations(tuple(ids), torch.stack(attention).cpu(), torch.cat(streams).cpu(), logits_TV.float().softmax(-1).cpu())


def attention_weights(attention: Attention, qkv_BTD: Tensor) -> Tensor:
    """Attention weights (H, T, T) of the first sequence: each row is a token, each column a token that it reads."""
    config = attention.config
    shape = (*qkv_BTD.shape[:2], config.heads, config.head_width)
    q, k, _ = (part.view(shape).transpose(1, 2) for part in qkv_BTD.chunk(3, dim=-1))
    if config.qk_norm:
        q, k = (F.rms_norm(part, part.shape[-1:]) for part in (q, k))
    if config.positions == "rotary":
        positions = torch.arange(q.shape[2], device=q.device)[None]
        q, k = rotate(q, positions), rotate(k, positions)
    scores_HTT = (q[0] @ k[0].transpose(-1, -2)).float() / config.head_width**0.5
    future = torch.ones_like(scores_HTT, dtype=torch.bool).triu(1)
    return torch.softmax(scores_HTT.masked_fill(future, -torch.inf), -1)


def cosine_similarities(first: Activations, position: int, second: Activations, other: int) -> list[float]:
    """Cosine similarity of a token of each text, before the first block and after each block."""
    return F.cosine_similarity(first.stream_LTD[:, position], second.stream_LTD[:, other], dim=-1).tolist()


@contextmanager
def _hooks(gpt: GPT) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Lists that forward passes in the block fill: residual stream per block, and queries, keys and values per layer."""
    streams: list[Tensor] = []
    projections: list[Tensor] = []
    hooks: list[RemovableHandle] = [gpt.blocks[0].register_forward_pre_hook(lambda _m, inputs: streams.append(inputs[0]))]
    for block in gpt.blocks:
        hooks.append(block.register_forward_hook(lambda _m, _i, output: streams.append(output)))
        hooks.append(block.attention.qkv.register_forward_hook(lambda _m, _i, output: projections.append(output)))  # type: ignore[union-attr]
    try:
        yield streams, projections
    finally:
        for hook in hooks:
            hook.remove()

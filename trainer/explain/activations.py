"""What goes on inside a network while it reads: every tensor that an explanation shows, taken from the very forward pass."""

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
class Anatomy:
    """Of one text of T tokens in L layers of H heads and width D.

    `stream_LTD` holds the vectors below the first block and above each block (L + 1 of them). `probabilities_TV` are the next token's.
    """

    ids: tuple[int, ...]
    attention_LHTT: Tensor
    stream_LTD: Tensor
    probabilities_TV: Tensor

    @property
    def nats(self) -> list[float]:
        """What each token but the first cost."""
        after = torch.tensor(self.ids[1:])
        return (-self.probabilities_TV[:-1].gather(1, after[:, None]).log())[:, 0].tolist()

    def likeliest(self, position: int, count: int) -> list[tuple[int, float]]:
        """The likeliest tokens after the position, with their probabilities."""
        found = self.probabilities_TV[position].topk(min(count, self.probabilities_TV.shape[1]))
        return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def dissect(gpt: GPT, ids: Sequence[int]) -> Anatomy:
    """Read the text once and keep what is shown. Raises ValueError where it is empty or longer than the context."""
    if not 1 <= len(ids) <= gpt.config.context:
        raise ValueError(f"{len(ids)} tokens: at least 1, and at most the context of {gpt.config.context}")
    device = gpt.token_embedding.weight.device
    was_training = gpt.training
    gpt.eval()
    with torch.inference_mode(), _recording(gpt) as (streams, projections):
        logits_TV = gpt(torch.tensor([list(ids)], device=device))[0]
        modules = [cast("Attention", block.attention) for block in gpt.blocks]
        attention = [weights(module, qkv) for module, qkv in zip(modules, projections, strict=True)]
    gpt.train(was_training)
    return Anatomy(tuple(ids), torch.stack(attention).cpu(), torch.cat(streams).cpu(), logits_TV.float().softmax(-1).cpu())


def weights(attention: Attention, qkv_BTD: Tensor) -> Tensor:
    """How much each token (row) of the first sequence takes from each one before it (column), a head: (H, T, T)."""
    config = attention.config
    shape = (*qkv_BTD.shape[:2], config.heads, config.head_width)
    q, k, _ = (part.view(shape).transpose(1, 2) for part in qkv_BTD.chunk(3, dim=-1))
    if config.qk_norm:
        q, k = (F.rms_norm(part, part.shape[-1:]) for part in (q, k))
    if config.positions == "rotary":
        positions = torch.arange(q.shape[2], device=q.device)[None]
        q, k = rotate(q, positions), rotate(k, positions)
    scores_HTT = (q[0] @ k[0].transpose(-1, -2)).float() / config.head_width**0.5
    hidden = torch.ones_like(scores_HTT, dtype=torch.bool).triu(1)
    return torch.softmax(scores_HTT.masked_fill(hidden, -torch.inf), -1)


def likeness(first: Anatomy, place: int, second: Anatomy, other: int) -> list[float]:
    """Cosine of two tokens' vectors, below the first block and above each."""
    return F.cosine_similarity(first.stream_LTD[:, place], second.stream_LTD[:, other], dim=-1).tolist()


@contextmanager
def _recording(gpt: GPT) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """While the block runs: the stream before the first block and after each, and each attention's queries, keys and values."""
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

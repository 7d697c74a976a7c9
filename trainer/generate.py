"""Text generation with a key-value cache, one token at a time."""

import math

import torch
from torch import Tensor

from trainer.attention import KeyValueCache
from trainer.model import GPT


@torch.inference_mode()
def generate(
    model: GPT,
    prompts: list[list[int]],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_id: int | None = None,
) -> list[list[int]]:
    """New tokens for each prompt, up to and without `stop_id`, all in one batch. Temperature 0 picks the most likely token.

    `top_k` 0 is no limit, as in GPT-2's own code. Raises ValueError for an empty prompt, if the longest prompt and the new tokens
    exceed the context, for a number out of range, or if the network diverged.
    """
    check_ranges(temperature, top_k, top_p, seed)
    longest = max(len(prompt) for prompt in prompts)
    _check(model, prompts, longest + max_new_tokens)
    device = next(model.parameters()).device
    tokens = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in zip(tokens, prompts, strict=True):
        row[longest - len(prompt) :] = torch.tensor(prompt)
    padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    cache = KeyValueCache(model.config, padding, dtype=model.block_type)
    generator = torch.Generator(device).manual_seed(seed)
    was_training = model.training
    model.eval()
    new, read = [], tokens.to(device)
    for position in range(max_new_tokens):
        logits_BV = model(read, cache=cache)[:, -1].float()
        if position == 0 and not bool(logits_BV.isfinite().all()):
            raise ValueError("the network's outputs are not numbers: its training diverged; use an earlier checkpoint")
        read = choose(logits_BV, temperature, top_k, top_p, generator)
        new.append(read)
        if stop_id is not None and bool((torch.cat(new, dim=1) == stop_id).any(dim=1).all()):
            break
    model.train(was_training)
    rows = torch.cat(new, dim=1).tolist() if new else [[] for _ in prompts]
    return [row[: row.index(stop_id)] if stop_id in row else row for row in rows]


def choose(logits_BV: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: torch.Generator) -> Tensor:
    """Next token (B, 1) for each row of logits (B, V)."""
    if temperature == 0:
        return logits_BV.argmax(dim=-1, keepdim=True)
    logits_BV = logits_BV / temperature
    if top_k:
        least = logits_BV.topk(min(top_k, logits_BV.shape[-1])).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least, -torch.inf)
    if top_p is not None:
        probabilities, tokens = logits_BV.softmax(-1).sort(dim=-1, descending=True)
        beyond = probabilities.cumsum(-1) - probabilities >= top_p
        logits_BV = logits_BV.masked_fill(torch.zeros_like(beyond).scatter(1, tokens, beyond), -torch.inf)
    return torch.multinomial(logits_BV.softmax(-1), 1, generator=generator)


def check_ranges(temperature: float, top_k: int | None, top_p: float | None, seed: int) -> None:
    """Raise ValueError, which names the flag, for a number out of range."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"--temperature {temperature}: must be at least 0")
    if top_k is not None and top_k < 0:
        raise ValueError(f"--top-k {top_k}: must be at least 1, or 0 for no limit")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"--top-p {top_p}: must be above 0 and at most 1")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"--seed {seed}: must be at least 0 and below 2^63")


def _check(model: GPT, prompts: list[list[int]], tokens: int) -> None:
    if not all(prompts):
        raise ValueError("a prompt is empty; to begin a new document, use the end-of-text token as the prompt")
    if tokens > model.config.context:
        raise ValueError(
            f"prompt and continuation have {tokens} tokens, the model's context is {model.config.context}; use fewer new tokens"
        )

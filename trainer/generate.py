"""Text from a network, a token at a time, with what was read kept (a KV cache)."""

import torch
from torch import Tensor

from trainer.attention import Cache
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
    """The new tokens after each prompt, all prompts at once; a row ends before `stop_id`. Temperature 0 takes the likeliest.

    Raises ValueError for an empty prompt, or where a prompt and the new tokens exceed the context.
    """
    longest = max(len(prompt) for prompt in prompts)
    _check(model, prompts, longest + max_new_tokens)
    device = next(model.parameters()).device
    tokens = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in zip(tokens, prompts, strict=True):
        row[longest - len(prompt) :] = torch.tensor(prompt)
    padding = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
    cache = Cache(model.config, padding, dtype=next(model.parameters()).dtype)
    generator = torch.Generator(device).manual_seed(seed)
    was_training = model.training
    model.eval()
    new, read = [], tokens.to(device)
    for _ in range(max_new_tokens):
        logits_BV = model(read, cache=cache)[:, -1].float()
        read = choose(logits_BV, temperature, top_k, top_p, generator)
        new.append(read)
        if stop_id is not None and bool((torch.cat(new, dim=1) == stop_id).any(dim=1).all()):
            break
    model.train(was_training)
    rows = torch.cat(new, dim=1).tolist() if new else [[] for _ in prompts]
    return [row[: row.index(stop_id)] if stop_id in row else row for row in rows]


def choose(logits_BV: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: torch.Generator) -> Tensor:
    """A token (B, 1) for each row of logits."""
    if temperature == 0:
        return logits_BV.argmax(dim=-1, keepdim=True)
    logits_BV = logits_BV / temperature
    if top_k is not None:
        least = logits_BV.topk(min(top_k, logits_BV.shape[-1])).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least, -torch.inf)
    if top_p is not None:
        ordered, places = logits_BV.softmax(-1).sort(dim=-1, descending=True)
        beyond = ordered.cumsum(-1) - ordered >= top_p
        logits_BV = logits_BV.masked_fill(torch.zeros_like(beyond).scatter(1, places, beyond), -torch.inf)
    return torch.multinomial(logits_BV.softmax(-1), 1, generator=generator)


def _check(model: GPT, prompts: list[list[int]], tokens: int) -> None:
    if not all(prompts):
        raise ValueError("a prompt is empty; start from the end of text to begin a new document")
    if tokens > model.config.context:
        raise ValueError(f"{tokens} tokens of prompt and continuation: the model's context is {model.config.context}")

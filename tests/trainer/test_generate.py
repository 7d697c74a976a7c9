"""Generation: the key-value cache changes no token, and other prompts in the batch have no effect."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from trainer.config import ModelConfig
from trainer.generate import choose, generate
from trainer.model import GPT

SHAPE = ModelConfig(layers=2, heads=2, width=32, context=40, vocabulary=61)


VARIANTS: dict[str, Any] = {
    "learned": {},
    "rotary": {"positions": "rotary"},
    "modern": {"positions": "rotary", "norm": "rms", "softcap": 3.0, "skips": True, "value_embeddings": True, "tied": False},
}


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> GPT:
    model = GPT(replace(SHAPE, **VARIANTS[request.param])).double().eval()
    model.init_weights(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model


def without_cache(model: GPT, prompt: list[int], tokens: int) -> list[int]:
    read = list(prompt)
    for _ in range(tokens):
        read.append(int(model(torch.tensor([read]))[0, -1].argmax()))
    return read[len(prompt) :]


def test_cached_generation_equals_uncached_for_prompts_of_different_lengths(model: GPT) -> None:
    prompts = [[1, 2, 3], [7], [9, 8, 7, 6, 5, 4]]
    assert generate(model, prompts, 20, temperature=0) == [without_cache(model, prompt, 20) for prompt in prompts]


def test_a_seed_determines_the_tokens(model: GPT) -> None:
    one, same, other = (generate(model, [[1, 2]], 30, seed=seed) for seed in (4, 4, 5))
    assert one == same != other


def test_a_row_ends_before_the_stop_token(model: GPT) -> None:
    (full,) = generate(model, [[1, 2]], 30, temperature=0)
    (cut,) = generate(model, [[1, 2]], 30, temperature=0, stop_id=full[5])
    assert cut == full[: full.index(full[5])]


def test_top_k_and_top_p_keep_the_most_likely_tokens() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(2000, 1)
    generator = torch.Generator().manual_seed(0)
    assert set(choose(logits, 1.0, 2, None, generator).flatten().tolist()) == {0, 1}
    assert set(choose(logits, 1.0, None, 0.79, generator).flatten().tolist()) == {0, 1}
    assert set(choose(logits, 1.0, None, 0.81, generator).flatten().tolist()) == {0, 1, 2}
    assert set(choose(logits, 1.0, None, 1e-9, generator).flatten().tolist()) == {0}


def test_sampled_frequencies_follow_the_logits() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(20_000, 1)
    tokens = choose(logits, 1.0, None, None, torch.Generator().manual_seed(0)).flatten()
    assert torch.bincount(tokens) / 20_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.02)


@pytest.mark.parametrize(("prompts", "tokens", "message"), [([[]], 3, "empty"), ([[1] * 39], 5, "context is 40")])
def test_empty_and_too_long_prompts_are_rejected(model: GPT, prompts: list[list[int]], tokens: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(model, prompts, tokens)

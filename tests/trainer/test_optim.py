"""Rates by step, and the guard: a bad gradient leaves weights and moments as they are, bit for bit."""

import math

import pytest
import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.optim import GUARD_STEPS, Guard, adamw, apply, learning_rate_at


def test_cosine_warms_up_peaks_and_ends_at_a_tenth() -> None:
    config = TrainConfig(steps=1000, warmup_steps=100)
    assert learning_rate_at(config, 0) == 0.01
    assert learning_rate_at(config, 99) == 1.0
    assert learning_rate_at(config, 550) == pytest.approx(0.55)
    assert learning_rate_at(config, 1000) == pytest.approx(0.1)


def test_wsd_is_flat_then_falls_to_nothing() -> None:
    config = TrainConfig(steps=1000, warmup_steps=100, schedule="wsd", decay_fraction=0.4)
    assert [learning_rate_at(config, step) for step in (99, 300, 600)] == [1.0, 1.0, 1.0]
    assert learning_rate_at(config, 800) == pytest.approx(0.5)
    assert learning_rate_at(config, 1000) == 0.0


def trained(gradients: list[float], skip: list[float]) -> tuple[nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = adamw(model, TrainConfig())
    for gradient, bad in zip(gradients, skip, strict=True):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        apply(optimizer, 1.0, torch.tensor(float(bad)))
    return model, optimizer


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e6])
def test_a_skipped_step_leaves_no_trace(poison: float) -> None:
    clean, clean_optimizer = trained([0.1, 0.2, 0.3], [0, 0, 0])
    other, other_optimizer = trained([0.1, poison, 0.2, 0.3], [0, 1, 0, 0])
    for a, b in zip(clean.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        for name, value in clean_optimizer.state[a].items():
            assert torch.equal(value, other_optimizer.state[b][name])


def test_decay_is_for_what_has_two_axes() -> None:
    groups = adamw(
        nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4)), TrainConfig(weight_decay=0.1)
    ).param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(2, 0.1), (3, 0.0)]


def test_the_guard_sees_what_is_not_finite_and_what_stands_out() -> None:
    guard = Guard(6.0, torch.device("cpu"))
    assert guard.judge(torch.tensor(1e9)) == 0, "without a history nothing stands out"
    for i in range(GUARD_STEPS):
        assert guard.judge(torch.tensor(1.0 + 0.01 * (i % 7))) == 0
    before = guard.norms.clone()
    for bad, in_a_row in ((math.nan, 1), (math.inf, 2), (50.0, 3)):
        assert guard.judge(torch.tensor(bad)) == 1
        assert guard.skipped == in_a_row
    assert torch.equal(guard.norms, before), "what is skipped does not count as history"
    assert guard.judge(torch.tensor(1.02)) == 0
    assert guard.skipped == 0


def test_a_guard_goes_on_from_its_state() -> None:
    first, second = Guard(6.0, torch.device("cpu")), Guard(6.0, torch.device("cpu"))
    for i in range(200):
        first.judge(torch.tensor(1.0 + 0.01 * (i % 5)))
    second.restore(first.state())
    assert second.judge(torch.tensor(1.5)) == first.judge(torch.tensor(1.5)) == 1

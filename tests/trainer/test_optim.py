"""Learning-rate schedules, optimizers, and the guard: a skipped step changes no bit of weights and moments."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.muon import Muon, orthogonalize
from trainer.optim import GUARD_STEPS, GradientGuard, Optimizer, learning_rate_at


def test_cosine_warms_up_and_ends_at_a_tenth_of_the_peak() -> None:
    config = TrainConfig(steps=1000, warmup_steps=100)
    assert learning_rate_at(config, 0) == 0.01
    assert learning_rate_at(config, 99) == 1.0
    assert learning_rate_at(config, 550) == pytest.approx(0.55)
    assert learning_rate_at(config, 1000) == pytest.approx(0.1)


def test_wsd_is_constant_then_decays_to_zero() -> None:
    config = TrainConfig(steps=1000, warmup_steps=100, schedule="wsd", decay_fraction=0.4)
    assert [learning_rate_at(config, step) for step in (99, 300, 600)] == [1.0, 1.0, 1.0]
    assert learning_rate_at(config, 800) == pytest.approx(0.5)
    assert learning_rate_at(config, 1000) == 0.0


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
@pytest.mark.parametrize(("warmup", "decay"), [(0, 0.4), (70, 0.6), (70, 1.0), (100, 0.5), (20, 0.0), (99, 0.02)])
def test_the_rate_never_jumps(schedule: str, warmup: int, decay: float) -> None:
    """A warm-up that reached into the decay ended in a drop by half."""
    config = TrainConfig(steps=100, warmup_steps=warmup, schedule=schedule, decay_fraction=decay)
    rates = [learning_rate_at(config, step) for step in range(100)]
    assert all(0 < rate <= 1 for rate in rates)
    slope = max(1 / max(warmup, 1), 1 / max(1, round(decay * 100)), math.pi / 2 / max(1, 100 - warmup))
    assert max(abs(a - b) for a, b in pairwise(rates)) <= slope + 1e-9


class TinyNetwork(nn.Module):
    """A network with a block's matrix, an embedding and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(4, 3)])
        self.embedding = nn.Embedding(5, 4)


def train(gradients: list[float], skip: list[float], kind: str = "adamw") -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    model = TinyNetwork()
    optimizer = Optimizer(model, TrainConfig(optimizer=kind))
    for gradient, bad in zip(gradients, skip, strict=True):
        for parameter in model.parameters():
            parameter.grad = gradient * torch.randn_like(parameter)
        optimizer.step(1.0, torch.tensor(float(bad)))
    return model, optimizer


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e6])
def test_a_skipped_step_changes_nothing(kind: str, poison: float) -> None:
    before, before_optimizer = train([0.1, 0.2], [0, 0], kind)
    after, after_optimizer = train([0.1, 0.2, poison], [0, 0, 1], kind)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    states = before_optimizer.state(), after_optimizer.state()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_an_optimizer_continues_from_its_state(kind: str) -> None:
    whole, _ = train([0.1, 0.2, 0.0], [0, 0, 0], kind)
    model, optimizer = train([0.1, 0.2], [0, 0], kind)
    other = Optimizer(model, TrainConfig(optimizer=kind))
    other.restore({name: value.clone() for name, value in optimizer.state().items()})
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    other.step(1.0, torch.zeros(()))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))


def test_state_before_the_first_step_is_zero() -> None:
    state = Optimizer(TinyNetwork(), TrainConfig(optimizer="muon")).state()
    assert set(state) > {"blocks.0.weight.momentum", "blocks.0.bias.exp_avg", "embedding.weight.step"}
    assert not any(value.any() for value in state.values())


def test_weight_decay_applies_only_to_parameters_with_two_axes() -> None:
    (adamw,) = Optimizer(TinyNetwork(), TrainConfig(weight_decay=0.1)).parts
    assert [(len(group["params"]), group["weight_decay"]) for group in adamw.param_groups] == [(2, 0.1), (1, 0.0)]


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_muon_equals_torchs(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(2)
    gradients = [torch.randn(shape, generator=generator) for _ in range(5)]
    ours, theirs = (torch.ones(shape, requires_grad=True) for _ in range(2))
    options = {"momentum": 0.95, "weight_decay": 0.1}
    pairs = (
        (ours, Muon([ours], 0.01, dtype=torch.bfloat16, **options)),
        (theirs, torch.optim.Muon([theirs], 0.01, adjust_lr_fn="match_rms_adamw", **options)),
    )
    for weight, optimizer in pairs:
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
    assert (ours - theirs).abs().max() < 2e-3
    assert (ours - 1).abs().max() > 0.02


def test_orthogonalizing_brings_singular_values_near_one() -> None:
    matrix = torch.randn(20, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_guard_skips_nonfinite_and_outlying_norms() -> None:
    guard = GradientGuard(6.0, torch.device("cpu"))
    assert guard.judge(torch.tensor(1e9)) == 0, "without a history no norm is an outlier"
    for i in range(GUARD_STEPS):
        assert guard.judge(torch.tensor(1.0 + 0.01 * (i % 7))) == 0
    before = guard.norms.clone()
    for bad, skipped in ((math.nan, 1), (math.inf, 2), (50.0, 3)):
        assert guard.judge(torch.tensor(bad)) == 1
        assert guard.skipped == skipped
    assert torch.equal(guard.norms, before), "skipped norms do not join the history"
    assert guard.judge(torch.tensor(1.02)) == 0
    assert guard.skipped == 0


def test_a_guard_continues_from_its_state() -> None:
    first, second = GradientGuard(6.0, torch.device("cpu")), GradientGuard(6.0, torch.device("cpu"))
    for i in range(200):
        first.judge(torch.tensor(1.0 + 0.01 * (i % 5)))
    second.restore(first.state())
    assert second.judge(torch.tensor(1.5)) == first.judge(torch.tensor(1.5)) == 1

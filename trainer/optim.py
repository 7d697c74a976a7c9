"""Optimizer, learning-rate schedule, and a guard that skips bad gradients without a transfer to the host."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import TrainConfig
from trainer.muon import Muon

GUARD_STEPS = 128
"""Number of earlier steps whose gradient norms a new norm is compared with."""

GUARD_STATE = ("norms", "skipped", "unlogged")


def learning_rate_at(config: TrainConfig, step: int) -> float:
    """Learning rate of a step (from 0) as a fraction of the peak. It never jumps, also where warm-up and decay overlap."""
    warmup = (step + 1) / config.warmup_steps if step < config.warmup_steps else 1.0
    if config.schedule == "wsd":
        decay_steps = max(1, round(config.decay_fraction * config.steps))
        return min(warmup, (config.steps - step) / decay_steps)
    if step < config.warmup_steps:
        return warmup
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.final_fraction + (1 - config.final_fraction) * cosine


def gradient_type(config: TrainConfig) -> torch.dtype:
    """Type in which FSDP accumulates gradients: as wide as the weights, unless the recipe says bf16."""
    if config.gradient_type == "bf16":
        return torch.bfloat16
    return torch.float64 if config.precision == "fp64" else torch.float32


class Optimizer:
    """Fused AdamW; in recipes with Muon, Muon for the blocks' matrices and AdamW for all other parameters, at one learning rate.

    Weight decay applies only to parameters with two axes: matrices and embeddings.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.names = {p: name for name, p in model.named_parameters() if p.requires_grad}
        muon = config.optimizer == "muon"
        matrices = [p for p, name in self.names.items() if muon and name.startswith("blocks.") and p.ndim == 2]
        rest = [p for p, name in self.names.items() if not (muon and name.startswith("blocks.") and p.ndim == 2)]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        rate, betas = config.learning_rate, (config.beta1, config.beta2)
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
        ]
        if matrices:
            products = torch.bfloat16 if config.precision == "bf16" else None
            compiled = config.compile and matrices[0].is_cuda  # on CPU the products take all the time
            decay = config.weight_decay
            muon_part = Muon(matrices, rate, momentum=config.momentum, weight_decay=decay, dtype=products, compiled=compiled)
            self.parts.append(muon_part)

    def step(self, scale: float, skip: Tensor) -> None:
        """Update at `scale` times the peak learning rate. A `skip` of 1.0 leaves weights and state unchanged, bit for bit."""
        for part in self.parts:
            for group in part.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * scale
            fused: Any = part
            fused.found_inf = skip
            part.step()

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Moments as `PARAMETER.MOMENT`. Before the first step they are zeros."""
        state = {}
        for part in self.parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                moments = part.state[parameter] or _initial_moments(part, parameter)
                state.update({f"{self.names[parameter]}.{key}": _with_axis(value) for key, value in moments.items()})
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        for part in self.parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                initial = _initial_moments(part, parameter)
                part.state[parameter] = {
                    key: state[f"{self.names[parameter]}.{key}"].reshape(value.shape) for key, value in initial.items()
                }


def _initial_moments(part: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    if isinstance(part, Muon):
        return {"momentum": torch.zeros_like(parameter)}
    step = torch.zeros((), device=parameter.device)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _with_axis(value: Tensor) -> Tensor:
    """The tensor with at least one axis: the checkpoint format stores no scalars."""
    return value.reshape(1) if value.ndim == 0 else value


class GradientGuard:
    """Decides from each step's gradient norm whether to skip the step: if the norm is not finite or far above its history.

    All state is in tensors, so that the host never waits for the device. `norms` is the history, newest last, NaN where it is not
    yet filled; `skipped` counts skipped steps in a row, `unlogged` those that the log does not yet report.
    """

    def __init__(self, sigmas: float, device: torch.device) -> None:
        self.sigmas = sigmas
        self.norms = torch.full((GUARD_STEPS,), math.nan, device=device)
        self.skipped = torch.zeros(1, device=device)
        self.unlogged = torch.zeros(1, device=device)

    def judge(self, norm: Tensor) -> Tensor:
        """1.0 to skip the step, else 0.0. A good norm joins the history."""
        norm = norm.detach().float()
        bad = ~torch.isfinite(norm)
        if self.sigmas:
            full = torch.isfinite(self.norms[0])
            limit = self.norms.mean() + self.sigmas * self.norms.std()
            bad = bad | (full & (norm > limit))
        self.norms = torch.where(bad, self.norms, torch.cat((self.norms[1:], norm.reshape(1))))
        self.skipped = torch.where(bad, self.skipped + 1, torch.zeros_like(self.skipped))
        self.unlogged = self.unlogged + bad
        return bad.float()

    def state(self) -> dict[str, Tensor]:
        """State tensors for a checkpoint, by name."""
        return {name: getattr(self, name) for name in GUARD_STATE}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        for name in GUARD_STATE:
            getattr(self, name).copy_(state[name])

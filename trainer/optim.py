"""The optimizer, its learning rate by step, and the guard that skips a bad gradient without asking the host."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import TrainConfig
from trainer.muon import Muon

GUARD_STEPS = 128
"""A gradient's norm is held against those of so many steps before it."""

GUARD_STATE = ("norms", "skipped", "unlogged")


def learning_rate_at(config: TrainConfig, step: int) -> float:
    """The part of the peak learning rate that step (from 0) runs at."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "wsd":
        decay_steps = max(1, round(config.decay_fraction * config.steps))
        return min(1.0, (config.steps - step) / decay_steps)
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.final_fraction + (1 - config.final_fraction) * cosine


class Optimizer:
    """Fused AdamW, and Muon for the blocks' matrices where the recipe says so; each moves its own parameters, both at one rate.

    Weight decay is for what has two axes (matrices and embeddings) and for nothing else.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.names = {p: name for name, p in model.named_parameters() if p.requires_grad}
        muon = config.optimizer == "muon"
        turned = [p for p, name in self.names.items() if muon and name.startswith("blocks.") and p.ndim == 2]
        rest = [p for p, name in self.names.items() if not (muon and name.startswith("blocks.") and p.ndim == 2)]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        rate, betas = config.learning_rate, (config.beta1, config.beta2)
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
        ]
        if turned:
            products = torch.bfloat16 if config.precision == "bf16" else None
            self.parts.append(Muon(turned, rate, momentum=config.momentum, weight_decay=config.weight_decay, dtype=products))

    def step(self, scale: float, skip: Tensor) -> None:
        """One step at `scale` times the peak rate; where `skip` is 1.0 it leaves weights and state as they are, bit for bit."""
        for part in self.parts:
            for group in part.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * scale
            fused: Any = part
            fused.found_inf = skip
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """The moments by parameter's name. Before the first step there are none yet: zeros are what they would begin as."""
        found = {}
        for part in self.parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                moments = part.state[parameter] or _beginning(part, parameter)
                found.update({f"{self.names[parameter]}.{key}": _with_axis(value) for key, value in moments.items()})
        return found

    def restore(self, state: dict[str, Tensor]) -> None:
        """What `state` gave."""
        for part in self.parts:
            for parameter in (p for group in part.param_groups for p in group["params"]):
                begun = _beginning(part, parameter)
                part.state[parameter] = {
                    key: state[f"{self.names[parameter]}.{key}"].reshape(value.shape) for key, value in begun.items()
                }


def _beginning(part: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    if isinstance(part, Muon):
        return {"momentum": torch.zeros_like(parameter)}
    step = torch.zeros((), device=parameter.device)
    return {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}


def _with_axis(value: Tensor) -> Tensor:
    """A checkpoint's format holds no tensors without axes."""
    return value.reshape(1) if value.ndim == 0 else value


class Guard:
    """Says of each step's gradient norm whether it is non-finite or far above its history. Tensors throughout: nothing waits.

    `norms` is the history, newest last, NaN where there is none yet; `skipped` counts the skips in a row, `unlogged` those that no line
    of the log has told of yet.
    """

    def __init__(self, sigmas: float, device: torch.device) -> None:
        self.sigmas = sigmas
        self.norms = torch.full((GUARD_STEPS,), math.nan, device=device)
        self.skipped = torch.zeros(1, device=device)
        self.unlogged = torch.zeros(1, device=device)

    def judge(self, norm: Tensor) -> Tensor:
        """1.0 where the step is to be skipped, else 0.0; a norm that passes joins the history."""
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
        """For a checkpoint."""
        return {name: getattr(self, name) for name in GUARD_STATE}

    def restore(self, state: dict[str, Tensor]) -> None:
        """What `state` gave."""
        for name in GUARD_STATE:
            getattr(self, name).copy_(state[name])

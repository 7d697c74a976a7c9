"""AdamW, its learning rate by step, and the guard that skips a bad gradient without asking the host."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import TrainConfig

GUARD_STEPS = 128
"""A gradient's norm is held against those of so many steps before it."""


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


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Fused AdamW; weight decay on what has two axes (matrices and embeddings) and on nothing else."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


class Guard:
    """Says of each step's gradient norm whether it is non-finite or far above its history. Tensors throughout: nothing waits.

    `norms` is the history, newest last, NaN where there is none yet; `skipped` counts the skips in a row.
    """

    def __init__(self, sigmas: float, device: torch.device) -> None:
        self.sigmas = sigmas
        self.norms = torch.full((GUARD_STEPS,), math.nan, device=device)
        self.skipped = torch.zeros(1, device=device)

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
        return bad.float()

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"norms": self.norms, "skipped": self.skipped}

    def restore(self, state: dict[str, Tensor]) -> None:
        """What `state` gave."""
        self.norms.copy_(state["norms"])
        self.skipped.copy_(state["skipped"])


def apply(optimizer: torch.optim.AdamW, scale: float, skip: Tensor) -> None:
    """One step at `scale` times each group's peak rate; where `skip` is 1.0 it leaves weights and state as they are, bit for bit."""
    for group in optimizer.param_groups:
        group.setdefault("peak", group["lr"])
        group["lr"] = group["peak"] * scale
    fused: Any = optimizer
    fused.found_inf = skip
    optimizer.step()

"""Progress of a run: lines in its log, on the terminal and in the requested trackers."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.config import TrainConfig
from trainer.data import TokenDataset
from trainer.distributed import World
from trainer.metrics import Log, Progress, model_flops_utilization
from trainer.optim import GradientGuard
from trainer.state import TrainerState
from trainer.trackers import Tracker

log = logging.getLogger(__name__)


class Reporter:
    """Writes the log and shows progress on the first rank. All ranks call its methods, because these sum over ranks."""

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        dataset: TokenDataset,
        world: World,
        state: TrainerState,
        guard: GradientGuard,
        trackers: Sequence[Tracker],
    ) -> None:
        self._config, self._world, self._state, self._guard, self._trackers = config, world, state, guard, trackers
        self._log = Log(folder, state.step) if world.first else None
        self._progress = Progress("train", config.steps, state.step) if world.first else None
        self._since, self._tokens = time.monotonic(), state.step * config.batch_tokens
        self._last_validation = ""
        held = 0 if dataset.validation is None else len(dataset.validation)
        scored = "the whole split" if held <= config.validation_tokens else f"its first {config.validation_tokens:,} tokens"
        self._protocol = f"{scored}, windows of {config.model.context:,}"
        if self._log is not None and state.step == 0:
            self._log.write(self._header(dataset))
        elif self._log is not None:
            self._note_device(self._log)

    def step(self, loss: Tensor, norm: Tensor, rate: float) -> None:
        """Report the step just made."""
        mean = self._world.sum(loss.double()).item() / self._world.ranks
        now, tokens = time.monotonic(), self._state.step * self._config.batch_tokens
        speed = (tokens - self._tokens) / max(now - self._since, 1e-9)
        self._since, self._tokens = now, tokens
        line = {
            "step": self._state.step,
            "tokens": tokens,
            "loss": mean,
            "lr": rate,
            "grad_norm": float(norm),
            "tokens_per_second": round(speed),
        }
        device = self._world.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        mfu = model_flops_utilization(self._config.model, speed, name, self._world.ranks)
        if mfu is not None:
            line["mfu"] = mfu
        if self._guard.unlogged.item():
            line["skipped"], line["skipped_in_a_row"] = int(self._guard.unlogged.item()), int(self._guard.skipped.item())
            self._guard.unlogged.zero_()
        self._write(line, f"loss {mean:.3f}{self._last_validation}  {speed:,.0f} tokens/s")

    def validation(self, losses: dict[str, float]) -> None:
        """Report a validation, unless `losses` is empty because there is no validation split."""
        if not losses:
            return
        self._state.last_validation = (self._state.step, losses["val_loss"])
        self._last_validation = f"  validation {losses['val_loss']:.3f}"
        line = {"step": self._state.step, "tokens": self._state.step * self._config.batch_tokens, **losses}
        nats, bits = losses["val_loss"], losses["bits_per_byte"]
        self._write(line, f"validation loss {nats:.3f} nats per token, {bits:.3f} bits per byte ({self._protocol})")
        self._since = time.monotonic()

    def evaluation(self, results: list[dict[str, Any]]) -> None:
        """Report the results of the zero-shot tasks."""
        headlines = [result for result in results if result["row"]] or results
        text = "  ".join(f"{result['task']} {result['value']:.4g}" for result in headlines)
        tokens = self._state.step * self._config.batch_tokens
        self._write({"step": self._state.step, "tokens": tokens, "evaluation": results}, text)
        self._since = time.monotonic()

    def close(self) -> None:
        """Close the log, the progress line and the trackers."""
        if self._log is not None and self._progress is not None:
            self._log.close()
            self._progress.close()
        for tracker in self._trackers:
            tracker.close()

    def _write(self, line: dict[str, Any], text: str) -> None:
        if self._log is not None and self._progress is not None:
            self._log.write(line)
            self._progress.show(self._state.step, text)
        numbers = {name: value for name, value in line.items() if name != "step" and isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.write(self._state.step, numbers)

    def _note_device(self, lines: Log) -> None:
        """Log a change of device: from here on, losses differ in their last digits from those of an uninterrupted run."""
        here = self._world.device_description
        if here != lines.device:
            before = lines.device or "an unknown device"
            log.warning("earlier steps ran on %s, the following run on %s: losses may differ in their last digits", before, here)
            lines.write({"step": self._state.step, "device": here})

    def _header(self, dataset: TokenDataset) -> dict[str, Any]:
        manifest = dataset.manifest
        return {
            "step": 0,
            "device": self._world.device_description,
            "config": self._config.to_json(),
            "corpus_sha256": manifest.sha256,
            "tokenizer_sha256": manifest.tokenizer_sha256,
            "parameters": self._config.model.parameters,
            "train_tokens": len(dataset.train),
            "unigram_entropy_nats": manifest.unigram_entropy_nats,
        }

"""What a run reports as it goes: to its log, to the terminal, and to the trackers that were asked for."""

import logging
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainer.metrics import Log, Progress, utilisation

if TYPE_CHECKING:
    from trainer.loop import Run


log = logging.getLogger(__name__)


class Reporter:
    """The first rank's voice: log and progress. Its methods take part in sums over ranks, so all ranks call them."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._log = Log(run.folder, run.at.step) if run.world.first else None
        self._progress = Progress("train", run.config.steps, run.at.step) if run.world.first else None
        self._since, self._tokens = time.monotonic(), run.at.step * run.config.batch_tokens
        self._last = ""
        if self._log is not None and run.at.step == 0:
            self._log.write(self._opening())
        elif self._log is not None:
            self._tell_device(self._log)

    def step(self, loss: Tensor, norm: Tensor, rate: float) -> None:
        """A line about the step just made."""
        run = self._run
        mean = run.world.sum(loss.double()).item() / run.world.ranks
        now, tokens = time.monotonic(), run.at.step * run.config.batch_tokens
        speed = (tokens - self._tokens) / max(now - self._since, 1e-9)
        self._since, self._tokens = now, tokens
        line = {
            "step": run.at.step,
            "tokens": tokens,
            "loss": mean,
            "lr": rate,
            "grad_norm": float(norm),
            "tokens_per_second": round(speed),
        }
        name = torch.cuda.get_device_name(run.world.device) if run.world.device.type == "cuda" else "CPU"
        mfu = utilisation(run.config.model, speed, name, run.world.ranks)
        if mfu is not None:
            line["mfu"] = mfu
        if run.guard.unlogged.item():
            line["skipped"], line["skipped_in_a_row"] = int(run.guard.unlogged.item()), int(run.guard.skipped.item())
            run.guard.unlogged.zero_()
        self._write(line, f"loss {mean:.3f}{self._last}  {speed:,.0f} tokens/s")

    def validation(self, found: dict[str, float]) -> None:
        """A line about a validation."""
        if not found:
            return
        run = self._run
        run.at.validated = (run.at.step, found["val_loss"])
        self._last = f"  validation {found['val_loss']:.3f}"
        line = {"step": run.at.step, "tokens": run.at.step * run.config.batch_tokens, **found}
        self._write(line, f"validation loss {found['val_loss']:.3f} nats a token, {found['bits_per_byte']:.3f} bits a byte")
        self._since = time.monotonic()

    def examination(self, results: list[dict[str, Any]]) -> None:
        """A line about the zero-shot tasks, with every result's protocol."""
        run = self._run
        headlines = [result for result in results if result["row"]] or results
        text = "  ".join(f"{result['task']} {result['value']:.4g}" for result in headlines)
        self._write({"step": run.at.step, "tokens": run.at.step * run.config.batch_tokens, "evaluation": results}, text)
        self._since = time.monotonic()

    def close(self) -> None:
        """No more to say."""
        if self._log is not None and self._progress is not None:
            self._log.close()
            self._progress.close()
        for tracker in self._run.trackers:
            tracker.close()

    def _write(self, line: dict[str, Any], text: str) -> None:
        if self._log is not None and self._progress is not None:
            self._log.write(line)
            self._progress.show(self._run.at.step, text)
        numbers = {name: value for name, value in line.items() if name != "step" and isinstance(value, int | float)}
        for tracker in self._run.trackers:
            tracker.write(self._run.at.step, numbers)

    def _tell_device(self, lines: Log) -> None:
        """That a run goes on elsewhere: its losses are then no longer, to the last digit, an undisturbed run's."""
        here = self._run.world.arithmetic
        if here != lines.device:
            before = lines.device or "an unknown device"
            log.warning("computed by %s up to here, by %s from here on: losses may differ in their last digits", before, here)
            lines.write({"step": self._run.at.step, "device": here})

    def _opening(self) -> dict[str, Any]:
        run = self._run
        manifest = run.corpus.manifest
        return {
            "step": 0,
            "device": run.world.arithmetic,
            "config": run.config.to_json(),
            "corpus_sha256": manifest.sha256,
            "tokenizer_sha256": manifest.tokenizer_sha256,
            "parameters": run.config.model.parameters,
            "train_tokens": len(run.corpus.train),
            "unigram_entropy_nats": manifest.unigram_entropy_nats,
        }

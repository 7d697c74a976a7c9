"""Log file, progress line and device utilization of a run."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from tokenizer.labels import printable
from tokenizer.terminal import control
from trainer import finite_json
from trainer.cards import find_card
from trainer.config import ModelConfig

log = logging.getLogger(__name__)

LOG = "log.jsonl"
QUIET_SECONDS = 30.0
"""Interval of progress lines when the output is not a terminal."""


def model_flops_utilization(model: ModelConfig, tokens_per_second: float, device_name: str, devices: int) -> float | None:
    """MFU: the model's FLOPs per second over the devices' nominal ones in bf16. None for a device that CARDS lacks."""
    card = find_card(device_name)
    if card is None:
        return None
    return tokens_per_second * model.flops_per_sequence() / model.context / (card.tflops * 1e12 * devices)


class Log:
    """log.jsonl, one JSON object per line. Opening it at a step deletes lines of later steps, which a killed run may have left.

    `device` is the last device that the log names.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / LOG
        kept = [line for line in read_lines(self.path) if line.get("step", 0) <= step] if step else []
        self.device: str | None = next((line["device"] for line in reversed(kept) if "device" in line), None)
        aside = self.path.with_name(f".{LOG}.aside")
        aside.write_text("".join(finite_json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        aside.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Append a line. A number that is not finite becomes null."""
        self._file.write(finite_json.dumps(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Sync the file to disk, so that it survives a crash of the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a log, without a last line that a kill left incomplete."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


class Progress:
    """A progress line that overwrites itself on a terminal; elsewhere a new line every 30 seconds."""

    def __init__(self, name: str, steps: int, first: int, stream: TextIO | None = None) -> None:
        self._name = name
        self._steps = steps
        self._first = first
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._start = self._shown = time.monotonic()

    def show(self, step: int, text: str) -> None:
        """Show that `step` steps are done, and `text`."""
        now = time.monotonic()
        if not self._terminal and now - self._shown < QUIET_SECONDS and step < self._steps:
            return
        self._shown = now
        left = (now - self._start) / max(1, step - self._first) * (self._steps - step)
        line = printable(f"{self._name}  step {step:,} of {self._steps:,}  {text}  {_duration(left)} left")
        control(self._stream, f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal:
            self._stream.write("\n")


def _duration(seconds: float) -> str:
    """Duration as text: 3725 gives 1:02:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"

"""The log of a run, its line on the terminal, and how well it uses its devices."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from trainer.config import ModelConfig

log = logging.getLogger(__name__)

LOG = "log.jsonl"
QUIET_SECONDS = 30.0
"""Where the output is no terminal, a line so often."""

BF16_TFLOPS = {
    "A100": 312.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "H200": 989.0,
    "B200": 2250.0,
    "L4": 121.0,
    "L40S": 362.0,
    "A10": 125.0,
    "RTX 3090": 71.0,
    "RTX 4090": 165.0,
}
"""Dense bf16 products with fp32 sums, as the makers' data sheets give them; the longest name that a device's own contains counts."""


def utilisation(model: ModelConfig, tokens_per_second: float, device_name: str, devices: int) -> float | None:
    """MFU: the part of the devices' nominal bf16 speed that the model's own FLOPs take. None for a device not in the table."""
    known = [name for name in BF16_TFLOPS if name in device_name]
    if not known:
        return None
    flops_per_second = tokens_per_second * model.flops_per_sequence() / model.context
    return flops_per_second / (BF16_TFLOPS[max(known, key=len)] * 1e12 * devices)


class Log:
    """log.jsonl: one JSON object a line. Opening it for a step drops what a killed run wrote beyond that step.

    `device` is what it says last of where the steps were computed.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / LOG
        kept = [line for line in read_lines(self.path) if line.get("step", 0) <= step] if step else []
        self.device: str | None = next((line["device"] for line in reversed(kept) if "device" in line), None)
        aside = self.path.with_name(f".{LOG}.aside")
        aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        aside.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        """Append a line."""
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Let it survive the machine, as a checkpoint does."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines."""
        self._file.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; a last one that a kill cut short is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


class Progress:
    """One line that is written over on a terminal; elsewhere a line every 30 seconds."""

    def __init__(self, name: str, steps: int, first: int, stream: TextIO | None = None) -> None:
        self._name = name
        self._steps = steps
        self._first = first
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._began = self._shown = time.monotonic()

    def show(self, step: int, text: str) -> None:
        """`step` of the steps are done."""
        now = time.monotonic()
        if not self._terminal and now - self._shown < QUIET_SECONDS and step < self._steps:
            return
        self._shown = now
        left = (now - self._began) / max(1, step - self._first) * (self._steps - step)
        line = f"{self._name}  step {step:,} of {self._steps:,}  {text}  {_duration(left)} left"
        self._stream.write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line."""
        if self._terminal:
            self._stream.write("\n")


def _duration(seconds: float) -> str:
    """3725 gives 1:02:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"

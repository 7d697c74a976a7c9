"""Log file, progress line and device utilization of a run."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from tokenizer import typed_json
from tokenizer.errors import InputError
from tokenizer.labels import printable
from tokenizer.terminal import control
from tokenizer.typed_json import Count
from tokenizer.untrusted import check_file, check_size
from trainer import finite_json
from trainer.cards import find_card
from trainer.config import ModelConfig

log = logging.getLogger(__name__)

LOG = "log.jsonl"
LONGEST_LINE_BYTES = 1 << 20
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

    `device` is the last device that the log names. Raises InputError, and leaves the file as it is, where it is not a training log.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / LOG
        self.device: str | None = None
        kept = []
        for line in read_lines(self.path) if step else ():
            if line.get("step", 0) <= step:
                kept.append(line)
                self.device = line.get("device", self.device)
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
    """Lines of a log, without a last line that a kill left incomplete. Raises InputError for what is not a training log."""
    try:
        check_file(path.parent, path.name)
        return [_line(number, text) for number, text in _complete_lines(path)] if path.exists() else []
    except ValueError as error:
        raise InputError(f"{path}: not a training log ({error}); correct the file, or move it away") from error


def _complete_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line that has its end. Raises ValueError for a line that none of ours is as long as."""
    with path.open("rb") as file:
        number = 0
        while (text := file.readline(LONGEST_LINE_BYTES)).endswith(b"\n"):
            number += 1
            yield number, text
        check_size(len(text), LONGEST_LINE_BYTES - 1)


class _LogLine(msgspec.Struct):
    """The fields of a line that a resumed run reads."""

    step: Count = 0
    device: str = ""


def _line(number: int, text: bytes) -> dict[str, Any]:
    """One line of a log. Raises ValueError where its fields have other types."""
    try:
        line: dict[str, Any] = json.loads(text)
        typed_json.convert(line, _LogLine)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from error
    return line


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

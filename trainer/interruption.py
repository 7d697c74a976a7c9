"""How training reacts to Ctrl-C and SIGTERM: it saves a checkpoint and stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(slots=True)
class StopRequest:
    """Whether a signal asks training to stop, and whether SIGINT was among the signals."""

    requested: bool = False
    interrupted: bool = False


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """A StopRequest that SIGTERM and SIGINT set while the block runs. A second SIGINT calls the previous handler."""
    stop = StopRequest()

    def note(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.interrupted:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        stop.requested = True
        stop.interrupted |= number == signal.SIGINT

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

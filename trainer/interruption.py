"""What Ctrl-C and SIGTERM do to training: it saves and stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stop_signals() -> Iterator[dict[str, bool]]:
    """SIGTERM and SIGINT raise a flag while the block runs; a second SIGINT does what it did before. `interrupted` tells the two apart."""
    asked = {"asked": False, "interrupted": False}

    def note(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and asked["interrupted"]:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        asked["asked"] = True
        asked["interrupted"] |= number == signal.SIGINT

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Immediate exit on Ctrl-C, for commands that have nothing to save."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C stopped."""


@contextmanager
def ends_on_interrupt(message: str) -> Iterator[None]:
    """While the block runs, Ctrl-C prints `message` and ends this process with exit code 130.

    The block must publish each file whole, since it can end at any moment. KeyboardInterrupt is not enough: Python prints and
    drops one that is raised in a callback, such as a weak reference's during an import.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.stderr.write(f"\n{message}\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    ignored = before is signal.SIG_IGN  # as in a shell's background jobs
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""What Ctrl-C does to a command that has nothing to save: it ends at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was told to stop by Ctrl-C."""


@contextmanager
def ends_on_interrupt(said: str) -> Iterator[None]:
    """While the block runs, Ctrl-C prints a line and ends this process: nothing is half-written under its own name at any moment.

    KeyboardInterrupt is not enough. Where it strikes in a callback of Python's own, of a weak reference while a module is imported for
    one, it is printed and forgotten.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.stderr.write(f"\n{said}\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN if before is signal.SIG_IGN else end)  # a shell's background job ignores it
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

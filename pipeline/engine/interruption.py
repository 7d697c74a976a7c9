"""What Ctrl-C and the death of a worker process do: nothing is half-written at any moment, so a command may end at once."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tokenizer.interruption import INTERRUPTED

WORKER_LOST = 1
CHANNELS = "apache_beam.runners.worker.data_plane"
LOST_SECONDS = 5.0
"""So long a pipeline may go on after one of its workers ended badly: one that failed by itself ends within this, with its own error."""


def stop_on_signals(advice: str) -> None:
    """From here on Ctrl-C and SIGTERM print one line and end this process at once: all that is finished is on disk under its receipt.

    To be called before any thread or child is made, and so before Beam is imported: they inherit that the signals are blocked, so no
    worker writes a traceback.
    """
    watched = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)

    def wait() -> None:
        signal.sigwait(watched)
        _end(INTERRUPTED, f"\nstopped; finished parts are kept. {advice}\n")

    threading.Thread(target=wait, name="signals", daemon=True).start()


@contextmanager
def heed_lost_workers() -> Iterator[None]:
    """While the block runs, end this process with one line where a local worker process was killed, for want of memory say.

    Beam's local runner tells of it by an exception in a thread of its own, and waits for the worker's answer for ever.
    """
    over, before, channels = threading.Event(), threading.excepthook, logging.getLogger(CHANNELS)
    level = channels.level

    def heed(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_type.__module__.startswith("grpc"):
            return  # a channel to the worker: what comes of that is told below, or by the pipeline's own end
        if "Worker subprocess exited" not in str(raised.exc_value):
            before(raised)
        elif not over.wait(LOST_SECONDS):
            said = "error: a worker process was killed (by hand, or for want of memory); finished parts are kept. "
            _end(WORKER_LOST, f"{said}Run the same command to go on, with fewer --workers where memory is short.\n")

    threading.excepthook = heed
    channels.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        over.set()
        threading.excepthook = before
        channels.setLevel(level)


def _end(code: int, said: str) -> None:
    """Workers go first: those that lose their runner say so in tracebacks."""
    for process in list(_below("self")):
        with suppress(OSError):  # one that is gone
            os.kill(int(process), signal.SIGKILL)
    sys.stderr.write(said)
    sys.stderr.flush()
    os._exit(code)


def _below(process: str) -> Iterator[str]:
    """The processes that it started, each before those that it started itself."""
    for thread in Path("/proc", process, "task").glob("*/children"):
        with suppress(OSError):  # a thread that is gone by now
            for child in thread.read_text().split():
                yield child
                yield from _below(child)

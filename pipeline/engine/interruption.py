"""Prompt exits: on Ctrl-C, and when a worker process dies. Files are published whole, so a command may end at any moment."""

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
"""How long a pipeline may go on after a worker ended badly: one that fails by itself ends within this time, with its own error."""


def stop_on_signals(advice: str) -> None:
    """From here on Ctrl-C and SIGTERM print one line and end this process at once. Finished parts are on disk with their receipts.

    Call it before any thread or child process starts, so before Beam is imported: they inherit the blocked signals, and no worker prints a
    traceback.
    """
    watched = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)

    def wait() -> None:
        signal.sigwait(watched)
        _end(INTERRUPTED, f"\nstopped; finished parts are kept. {advice}\n")

    threading.Thread(target=wait, name="signals", daemon=True).start()


@contextmanager
def heed_lost_workers() -> Iterator[None]:
    """While the block runs, end this process with one line if a local worker process is killed, for lack of memory for example.

    Beam's local runner reports it as an exception in one of its threads, and waits for the worker's answer for ever.
    """
    over, before, channels = threading.Event(), threading.excepthook, logging.getLogger(CHANNELS)
    level = channels.level

    def heed(raised: threading.ExceptHookArgs) -> None:
        if raised.exc_type.__module__.startswith("grpc"):
            return  # a channel to the worker broke: the next message, or the pipeline's own end, reports the consequence
        if "Worker subprocess exited" not in str(raised.exc_value):
            before(raised)
        elif not over.wait(LOST_SECONDS):
            _end(
                WORKER_LOST,
                "error: a worker process was killed (by hand, or for lack of memory); finished parts are kept. "
                "Run the same command to go on, with fewer --workers if memory is short.\n",
            )

    threading.excepthook = heed
    channels.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        over.set()
        threading.excepthook = before
        channels.setLevel(level)


def _end(code: int, message: str) -> None:
    """Kill all descendants, print the message and exit. Workers that lose their runner would print tracebacks."""
    for process in list(_descendants("self")):
        with suppress(OSError):  # it has ended
            os.kill(int(process), signal.SIGKILL)
    sys.stderr.write(message)
    sys.stderr.flush()
    os._exit(code)


def _descendants(process: str) -> Iterator[str]:
    """Ids of the processes that `process` started, each before those that it started itself."""
    for thread in Path("/proc", process, "task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            for child in thread.read_text().split():
                yield child
                yield from _descendants(child)

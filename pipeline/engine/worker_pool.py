"""Worker processes that serve one pipeline after another: a new process takes two seconds to import Beam and numba."""

import select
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pipeline.engine import worker_call
from pipeline.engine.runner import WORKER_PROCESS, Engine


@contextmanager
def persistent_workers(engine: Engine, parts: int, *modules: str) -> Iterator[Engine]:
    """An engine whose worker processes start with its first pipeline and live until the block ends. Before they serve one, `modules`
    are imported and their `load` is called.

    Gives `engine` itself where it needs no such workers: for one part, one worker or another runner, and inside another such
    block.
    """
    count = min(engine.workers, parts)
    if count < 2 or not engine.is_local or engine.worker != WORKER_PROCESS:
        yield engine
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(True)  # the workers inherit it; Beam's client of Google Cloud sets a default time-out
        listener.bind(path)
        listener.listen(count)
        client = shlex.join([sys.executable, "-I", "-S", worker_call.__file__, path])
        with _started_when_called(listener, count, modules):
            yield replace(engine, worker=f"exec {client}")


@contextmanager
def _started_when_called(listener: socket.socket, count: int, modules: Sequence[str]) -> Iterator[None]:
    """While the block runs, the first call on `listener` starts the workers, which then answer it; their end closes their socket."""
    started: list[subprocess.Popen[bytes]] = []
    wake, woken = socket.socketpair()

    def wait_for_call() -> None:
        with listener:
            called, _, _ = select.select([listener, woken], [], [])
            if woken not in called:
                command = [sys.executable, "-m", "pipeline.engine.worker", str(listener.fileno()), str(count), *modules]
                started.append(subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]))  # noqa: S603 (our own)

    waiting = threading.Thread(target=wait_for_call, name="worker pool", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        with wake, woken:
            wake.send(b"\n")
            waiting.join()
        for parent in started:
            parent.communicate()  # closes its input: parent and workers end with it

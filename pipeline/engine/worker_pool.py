"""Worker processes that serve one pipeline after another: a new process takes two seconds to import Beam and numba."""

import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.engine import worker_call
from pipeline.engine.runner import WORKER_PROCESS, Engine


@contextmanager
def persistent_workers(engine: Engine, parts: int, *modules: str) -> Iterator[Engine]:
    """An engine whose worker processes live until the block ends. Before they start, `modules` are imported and their `load` is
    called.

    Gives `engine` itself where it needs no such workers: for one part, one worker or another runner, and inside another such
    block.
    """
    count = min(engine.workers, parts)
    if count < 2 or not engine.is_local or engine.worker != WORKER_PROCESS:
        yield engine
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(count)
            command = [sys.executable, "-m", "pipeline.engine.worker", str(listener.fileno()), str(count), *modules]
            parent = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()])  # noqa: S603 (our own)
        client = shlex.join([sys.executable, "-I", "-S", worker_call.__file__, path])
        try:
            yield replace(engine, worker=f"exec {client}")
        finally:
            parent.communicate()  # closes its input: parent and workers end with it

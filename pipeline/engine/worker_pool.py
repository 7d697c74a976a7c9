"""Worker processes that stay from one pipeline to the next, of a stage or of a run: importing Beam and numba takes two seconds."""

import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engine import worker_call
from pipeline.engine.runner import WORKER_PROCESS, Engine


@contextmanager
def standing(engine: Engine, parts: int, *modules: str) -> Iterator[Engine]:
    """The engine with workers that stand until the block ends, the modules loaded; or as it is where one process does the work of so many
    parts, and where its workers stand already.
    """
    count = min(engine.workers, parts)
    if count < 2 or not engine.is_local or engine.worker is not WORKER_PROCESS:
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
            yield replace(engine, worker=SubprocessSDKEnvironment.from_command_string(f"exec {client}"))
        finally:
            parent.communicate()  # workers and parent end with their input

"""Worker processes that stay from one pipeline of a stage to the next: to import Beam and numba takes each of them two seconds."""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline import worker_call
from pipeline.engine import Engine


@contextmanager
def standing(engine: Engine, parts: int) -> Iterator[Engine]:
    """The engine with workers that stand until the block ends, or as it is where one process does the work of so many parts."""
    count = min(engine.workers, parts)
    if count < 2 or not engine.is_local:
        yield engine
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(count)
            command = [sys.executable, "-m", "pipeline.worker", str(listener.fileno())]
            environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # their threads take turns: 7 MB less
            processes = [
                subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], env=environment)  # noqa: S603 (our own)
                for _ in range(count)
            ]
        client = shlex.join([sys.executable, "-I", "-S", worker_call.__file__, path])
        try:
            yield replace(engine, worker=SubprocessSDKEnvironment.from_command_string(f"exec {client}"))
        finally:
            for process in processes:
                process.kill()
                process.communicate()

"""The local engine's worker process: Beam's own harness, whose log goes to the runner and not to the terminal as well.

`python -m pipeline.engine.worker` serves one pipeline; the environment says which. `python -m pipeline.engine.worker FD COUNT MODULE…`
imports Beam and the modules, calls `load` of each, and forks COUNT workers, which share the memory of all that is loaded. Each worker
serves one pipeline after another, as calls (`pipeline.engine.worker_call`) on the socket FD ask, until standard input ends.
"""

import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading

from pipeline.engine.allocator import choose_allocators

SAMPLED_EVERY_MS = 10


def end_bundles_promptly() -> None:
    """Let Beam look every 10 ms, not every 200, at what a bundle is doing: the end of a bundle waits for the last look."""
    from apache_beam.runners.worker.statesampler import StateSampler

    StateSampler.__init__.__defaults__ = (SAMPLED_EVERY_MS,)


def main() -> None:
    """Serve the runner that started this process until it ends."""
    choose_allocators()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # or one pipeline in sixty ends with a line about a closing channel
    quiet = logging.NullHandler()
    logging.getLogger().addHandler(quiet)  # or the first warning of an import sets up a log on stderr
    from apache_beam.runners.worker import sdk_worker_main

    end_bundles_promptly()
    if len(sys.argv) == 1:
        sdk_worker_main.main(sys.argv)
        return
    fd, count, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module).load()
    gc.freeze()  # what the workers share is no garbage of theirs
    workers: list[int] = []
    while len(workers) < int(count):
        if not (worker := os.fork()):
            break
        workers.append(worker)
    else:
        sys.stdin.read()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        os._exit(0)
    threading.Thread(target=_end_with_input, daemon=True).start()
    listener = socket.socket(fileno=int(fd))
    while True:
        connection, _ = listener.accept()
        with connection:
            os.environ.update(json.loads(connection.makefile().readline()))
            sdk_worker_main.main(sys.argv[:1])
            logging.getLogger().handlers = [quiet]
            connection.sendall(b"\n")


def _end_with_input() -> None:
    """The process that started this one holds the other end: it is closed even where that one is killed."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

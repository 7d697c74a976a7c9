"""The local engine's worker process: Beam's own harness, whose log goes to the runner and not to the terminal as well.

`python -m pipeline.worker` serves one pipeline, told by the environment. `python -m pipeline.worker FD COUNT MODULE…` imports Beam and the
modules, calls the `load` of each, and forks COUNT workers: all that is in memory then is there once. Each serves one pipeline after the
other, told by calls (`pipeline.worker_call`) of the socket FD, until the standard input ends.
"""

import ctypes
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
MAPPED_FROM_BYTES = 4 << 20
KEPT_FREE_BYTES = 16 << 20
SAMPLED_EVERY_MS = 10


def choose_allocators() -> None:
    """How this process allocates, before it imports what allocates or starts a thread.

    Arrow by jemalloc where it is built in: 30 MB less than its own choice. glibc's malloc from one arena: 64 fetching threads spread over
    16 of them held 20 to 30 MB more and grew by 1.6 MB a minute, where one grows by 0.15.
    """
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    _mallopt({M_ARENA_MAX: 1})


def keep_freed_memory() -> None:
    """Fix glibc's thresholds, for work on arrays batch by batch. Left to itself it raises them to what was freed, so that large arrays
    leave holes (40 MB of 390 in dedup), or gives back what the next batch asks for.
    """
    _mallopt({M_MMAP_THRESHOLD: MAPPED_FROM_BYTES, M_TRIM_THRESHOLD: KEPT_FREE_BYTES})


def give_back_freed_memory() -> None:
    """Between two kinds of work: what the one leaves behind is in the other's way."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if trim := _of_glibc("malloc_trim"):
        trim(0)


def _mallopt(options: dict[int, int]) -> None:
    if mallopt := _of_glibc("mallopt"):
        for option, value in options.items():
            mallopt(option, value)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of its own, where this process has glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


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

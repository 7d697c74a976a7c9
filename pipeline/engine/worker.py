"""The local engine's worker process: Beam's own harness, whose log goes to the runner only, not to the terminal.

`python -m pipeline.engine.worker` serves one pipeline, which its environment variables describe.

`python -m pipeline.engine.worker FD COUNT MODULE…` imports Beam and the modules, calls each module's `load`, and forks COUNT
workers, which share the memory of everything loaded. Each worker serves one pipeline after another, as calls
(`pipeline.engine.worker_call`) arrive on the socket FD, until standard input ends.
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
from typing import Any, NamedTuple

from pipeline.engine import run_token
from pipeline.engine.allocator import choose_allocators

SAMPLE_INTERVAL_MS = 10
HOST = "localhost:"
"""What Beam's runner puts before a server's port to name it to a worker."""


def end_bundles_promptly() -> None:
    """Make Beam sample the state of a bundle every 10 ms instead of every 200: the end of a bundle waits for the last sample."""
    from apache_beam.runners.worker.statesampler import StateSampler

    StateSampler.__init__.__defaults__ = (SAMPLE_INTERVAL_MS,)


class _CallDetails(NamedTuple):
    """What gRPC asks of a call's details, with the run's token in the metadata."""

    method: str
    timeout: float | None
    metadata: list[tuple[str, str]]
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


def _with_token(details: Any) -> _CallDetails:
    metadata = [*(details.metadata or ()), (run_token.METADATA_KEY, os.environ.get(run_token.VARIABLE, ""))]
    wait, compression = (getattr(details, name, None) for name in ("wait_for_ready", "compression"))  # Beam's have neither
    return _CallDetails(details.method, details.timeout, metadata, details.credentials, wait, compression)


def authenticated(channel: Any) -> Any:
    """The gRPC channel, whose calls carry the run's token."""
    import grpc

    class AddToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
        """Adds the token. Beam's services have no calls of the fourth kind."""

        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            return continuation(_with_token(client_call_details), request)

        def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            return continuation(_with_token(client_call_details), request)

        def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
            return continuation(_with_token(client_call_details), request_iterator)

    return grpc.intercept_channel(channel, AddToken())


def reach_private_servers() -> None:
    """Make Beam's channels connect to the Unix sockets of `pipeline.engine.private_sockets`, which Beam names `localhost:PATH`.

    Their calls carry the run's token.
    """
    from apache_beam.runners.worker.channel_factory import GRPCChannelFactory

    factory: Any = GRPCChannelFactory
    connect = factory.insecure_channel

    def insecure_channel(target: str, options: Any = None) -> Any:
        path = target.removeprefix(HOST)
        return authenticated(connect(f"unix:{path}", options)) if path.startswith("/") else connect(target, options)

    factory.insecure_channel = staticmethod(insecure_channel)


def main() -> None:
    """Serve the runner that started this process until it ends."""
    choose_allocators()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # otherwise one pipeline in sixty ends with a line about a closing channel
    quiet = logging.NullHandler()
    logging.getLogger().addHandler(quiet)  # otherwise the first warning of an import sets up a log on stderr
    from apache_beam.runners.worker import sdk_worker_main

    reach_private_servers()
    end_bundles_promptly()
    if len(sys.argv) == 1:
        sdk_worker_main.main(sys.argv)
        return
    fd, count, *modules = sys.argv[1:]
    _load(modules)
    _fork(int(count))
    threading.Thread(target=_end_with_input, daemon=True).start()
    listener = socket.socket(fileno=int(fd))
    while True:
        connection, _ = listener.accept()
        connection.setblocking(True)  # an earlier pipeline may have set a default time-out
        with connection:
            os.environ.update(json.loads(connection.makefile().readline()))
            sdk_worker_main.main(sys.argv[:1])
            logging.getLogger().handlers = [quiet]
            connection.sendall(b"\n")


def _load(modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module).load()
    gc.freeze()  # the collector of a worker would copy the pages that the workers share


def _fork(count: int) -> None:
    """Fork the workers and return in each. The parent kills them when its input ends, and exits."""
    workers: list[int] = []
    while len(workers) < count:
        if not (worker := os.fork()):
            return
        workers.append(worker)
    sys.stdin.read()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
    os._exit(0)


def _end_with_input() -> None:
    """Exit when the driver goes: the driver holds the other end of standard input, which closes even if the driver is killed."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

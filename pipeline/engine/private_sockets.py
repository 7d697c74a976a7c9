"""Local worker processes talk to the runner over Unix sockets in a folder that only this user can enter.

Beam's local runner binds six gRPC servers to `[::]:0`, on all interfaces and without authentication: a stranger can register as a
worker, receive the pickled work and fail the run. Beam has no setting for the address.

Each call must also carry the run's token, which workers find in their environment: a folder can be shared with a container, say,
whose root is no other user to us.
"""

import hmac
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import grpc

from pipeline.engine import run_token

ANY_INTERFACE = "[::]:0"
MAX_FOLDER = 60
"""Longest folder for sockets, in characters: the system limits a socket's path to 107."""


class _PrivateGrpc:
    """Stands for the module `grpc` in Beam's runner: its servers that bind any interface bind a Unix socket."""

    def __init__(self, folder: str, token: str) -> None:
        self._folder = folder
        self._token = token
        self._numbers = count()

    def __getattr__(self, name: str) -> Any:
        return getattr(grpc, name)

    def server(self, *arguments: Any, **options: Any) -> grpc.Server:
        """A server of `grpc.server`. Its `add_insecure_port` returns the path of the socket in place of the port."""
        check = _TokenCheck()
        interceptors = (check, *(options.pop("interceptors", None) or ()))
        server: Any = grpc.server(*arguments, **options, interceptors=interceptors)
        bind = server.add_insecure_port

        def add_insecure_port(address: str) -> int | str:
            if address != ANY_INTERFACE:
                return int(bind(address))
            check.token = self._token
            path = f"{self._folder}/{next(self._numbers)}"
            bind(f"unix:{path}")
            return path

        server.add_insecure_port = add_insecure_port
        return server


class _TokenCheck(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without the token, once it is set: a server on an address of its own is none of ours."""

    token: str | None = None

    def intercept_service(
        self, continuation: Callable[[Any], grpc.RpcMethodHandler], handler_call_details: Any
    ) -> grpc.RpcMethodHandler:
        """The method's handler, or one that reads nothing and answers UNAUTHENTICATED."""
        given = dict(handler_call_details.invocation_metadata).get(run_token.METADATA_KEY, "")
        if self.token is None or hmac.compare_digest(str(given).encode(), self.token.encode()):
            return continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


def _refuse(_: object, context: grpc.ServicerContext) -> Iterator[bytes]:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "not a worker of this run")
    yield b""


_lock = threading.Lock()
_running = 0
_folder: tempfile.TemporaryDirectory[str] | None = None


def _runner_modules() -> tuple[Any, ...]:
    """Beam's modules that start servers. The second is imported late, since only worker processes need it."""
    from apache_beam.runners.portability import local_job_service
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    return worker_handlers, local_job_service


@contextmanager
def private_servers() -> Iterator[None]:
    """While the block runs, the servers of Beam's local runner bind Unix sockets. Blocks may overlap, in several threads.

    Workers call `pipeline.engine.worker.reach_private_servers` to connect.
    """
    global _running, _folder
    with _lock:
        _running += 1
        if _folder is None:
            short = len(tempfile.gettempdir()) <= MAX_FOLDER
            _folder = tempfile.TemporaryDirectory(prefix="webtext-", dir=None if short else "/tmp")  # noqa: S108 (0700)
            os.environ[run_token.VARIABLE] = secrets.token_hex(32)
            private = _PrivateGrpc(_folder.name, os.environ[run_token.VARIABLE])
            for module in _runner_modules():
                module.grpc = private
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if not _running and _folder is not None:
                for module in _runner_modules():
                    module.grpc = grpc
                del os.environ[run_token.VARIABLE]
                _folder.cleanup()
                _folder = None

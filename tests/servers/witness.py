"""A well-behaved server on 127.0.0.1 that records who requested what, when, and how many at once."""

import socket
import socketserver
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

from servers.hostile import read_request


@dataclass(frozen=True)
class Request:
    """One request, in monotonic seconds."""

    host: str
    path: str
    begin: float
    end: float


class WitnessServer:
    """Use as a context manager. Every name under .test is one of its hosts; it is also their proxy. Paths from /gone are 404."""

    def __init__(self, service_seconds: float = 0.0, robots: bytes | None = None) -> None:
        self.service_seconds = service_seconds
        self.robots = robots
        self.requests: list[Request] = []
        self.most_at_once: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.witness = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, host: str, path: str) -> str:
        return f"http://{host}.test:{self.port}{path}"

    def lookup(self, _host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def asked(self) -> Counter[str]:
        """Number of requests for each page: host and path."""
        return Counter(f"{r.host}{r.path}" for r in list(self.requests))

    def gaps(self) -> dict[str, list[float]]:
        """Seconds between the end of a request and the beginning of the next, per host."""
        by_host: dict[str, list[Request]] = defaultdict(list)
        for request in sorted(self.requests, key=lambda r: r.begin):
            by_host[request.host].append(request)
        return {host: [later.begin - earlier.end for earlier, later in pairwise(requests)] for host, requests in by_host.items()}

    def begin(self, host: str) -> float:
        with self._lock:
            self._open[host] += 1
            self.most_at_once[host] = max(self.most_at_once[host], self._open[host])
        return time.monotonic()

    def end(self, host: str, path: str, begin: float) -> None:
        with self._lock:
            self._open[host] -= 1
            self.requests.append(Request(host, path, begin, time.monotonic()))

    def response(self, host: str, path: str) -> bytes:
        if path == "/robots.txt":
            return _whole(404, b"") if self.robots is None else _whole(200, self.robots, "text/plain")
        if path.startswith("/gone"):
            return _whole(404, b"<p>gone")
        return _whole(200, f"<!doctype html><title>{host}</title><p>This is {path} of {host}.".encode() * 20)


def _whole(status: int, body: bytes, kind: str = "text/html") -> bytes:
    return f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512
    witness: WitnessServer

    def handle_error(self, _request: object, _address: object) -> None:
        """Ignore errors: clients may leave at any time."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        witness = self.server.witness
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = self.request.makefile("rb")
        while (request := read_request(stream)) is not None:
            host, path, _ = request
            path = path.removeprefix(f"http://{host}") or "/"  # the form that proxies are asked in
            begin = witness.begin(host)
            if witness.service_seconds:
                time.sleep(witness.service_seconds)
            data = witness.response(host, path)
            witness.end(host, path, begin)
            self.request.sendall(data)
        stream.close()

"""A server of one page on loopback, for browsers of this machine: bounded in time and connections, whoever connects.

A page of another site can make a browser send requests here, and a name of its own resolve to this address. So the Host header has to name
this server, and nothing but GET and HEAD is answered.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tokenizer.errors import InputError
from tokenizer.labels import printable

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
REFRESH_SECONDS = 10
MAX_CONNECTIONS = 16
REQUEST_SECONDS = 10.0
"""A connection is closed when its request is not complete, or its answer not taken, after this time."""
SWEEP_SECONDS = 0.5
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageServer(ThreadingHTTPServer):
    """Serves `page()` at / of 127.0.0.1. Port 0 chooses a free port. The page is made once at a time.

    Raises InputError if the port is taken.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, page: Callable[[], str], request_seconds: float = REQUEST_SECONDS) -> None:
        self.page = page
        self.request_seconds = request_seconds
        self.making = threading.Lock()
        self.refreshes = True
        self._last_page = float("-inf")
        self._last_refresh = threading.Event()
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        try:
            super().__init__((HOST, port), PageHandler)
        except OSError as error:
            raise InputError(f"--watch {port}: cannot listen on this port ({error.strerror}); choose another port") from error

    def answered(self) -> None:
        """Note that a page was sent."""
        self._last_page = time.monotonic()
        if not self.refreshes:
            self._last_refresh.set()

    def finish(self) -> None:
        """Let a browser that still looks at the page take it once more, without a further refresh."""
        self.refreshes = False
        if time.monotonic() - self._last_page < 2 * REFRESH_SECONDS:
            self._last_refresh.wait(REFRESH_SECONDS + 1)

    def serve_forever(self, poll_interval: float = SWEEP_SECONDS) -> None:
        """Serve until `shutdown`."""
        super().serve_forever(poll_interval)

    def set_deadline(self, connection: socket.socket, seconds: float | None) -> None:
        """Close a connection after these seconds; None for no limit while its page is made."""
        with self._lock:
            self._deadlines[connection] = time.monotonic() + seconds if seconds is not None else float("inf")

    def verify_request(self, request: Any, _client: Any) -> bool:
        """Whether there is room for one more connection; else it is closed, unanswered."""
        with self._lock:
            if len(self._deadlines) >= MAX_CONNECTIONS:
                return False
            self._deadlines[request] = time.monotonic() + self.request_seconds
        return True

    def service_actions(self) -> None:
        """End connections whose time is over; their threads then end with an error of the connection."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, deadline in self._deadlines.items() if deadline < now]
        for connection in late:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended by itself
                continue

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _client: Any) -> None:
        """Say nothing of connections that end early."""


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request of a connection."""

    server: PageServer
    server_version = "webtext"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # what is no request gets a status line too

    def do_GET(self) -> None:
        """Answer / with the page and any other path with 404."""
        refusal = self._refusal()
        if refusal is not None:
            self.send_error(refusal)
            return
        self.server.set_deadline(self.connection, None)
        try:
            with self.server.making:
                body = self.server.page().encode("utf-8", "backslashreplace")
        except Exception as error:  # noqa: BLE001  # the reader gets an answer, the operator a line, and the server goes on
            line = printable(f"{type(error).__name__}: {error}")
            logger.error("report: cannot make the page: %s", line)  # noqa: TRY400  # one line
            self._restart_deadline()
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "the page cannot be made: see the log of the command")
            return
        self._restart_deadline()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.server.refreshes:
            self.send_header("Refresh", str(REFRESH_SECONDS))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.server.answered()

    def _restart_deadline(self) -> None:
        self.server.set_deadline(self.connection, self.server.request_seconds)

    def do_HEAD(self) -> None:
        """Answer as GET, without the body."""
        self.do_GET()

    def __getattr__(self, name: str) -> Any:
        """Refuse any other method: the base class looks for `do_` and its name."""
        if name.startswith("do_"):
            return lambda: self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        raise AttributeError(name)

    def _refusal(self) -> HTTPStatus | None:
        """The status of a request that is not for this page, or None."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1:
            return HTTPStatus.BAD_REQUEST
        port = self.server.server_address[1]
        if hosts[0].strip().lower() not in {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set()):
            return HTTPStatus.FORBIDDEN
        return None if self.path == "/" else HTTPStatus.NOT_FOUND

    def end_headers(self) -> None:
        """End the head of any answer, refusals too."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.command and self.command not in ("GET", "HEAD"):
            self.send_header("Allow", "GET, HEAD")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Log no requests."""

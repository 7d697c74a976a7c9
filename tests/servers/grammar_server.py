"""A server on 127.0.0.1 that sends given bytes as the response of each path."""

import socketserver
import threading
from typing import Self


class GrammarServer:
    """A server on 127.0.0.1 that sends the response of each path, a number, then closes. Use as a context manager."""

    def __init__(self, responses: dict[int, bytes]) -> None:
        self.responses = responses

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.responses = self.responses
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, number: int) -> str:
        """The URL of a response."""
        return f"http://127.0.0.1:{self.port}/{number}"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    responses: dict[int, bytes]

    def handle_error(self, _request: object, _address: object) -> None:
        """Ignore errors: clients leave when they refuse a head."""


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        number = int(self.rfile.readline().split()[1].lstrip(b"/"))
        while self.rfile.readline().strip():
            pass
        self.request.sendall(self.server.responses[number])

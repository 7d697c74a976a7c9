"""A proxy on 127.0.0.1 that plays the whole web: given URLs answer with given bytes, all others with a default.

https works as behind any proxy: CONNECT, then TLS with a certificate for the requested host, issued by the server's own authority.
"""

import shutil
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

import trustme

from pipeline.urls import fetch_url

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """A response to a URL."""

    body: bytes = b""
    content_type: str = HTML
    status: int = 200
    headers: tuple[tuple[str, str], ...] = field(default=())

    def to_bytes(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Replayed", f"Content-Length: {len(self.body)}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + self.body


@dataclass(frozen=True)
class Reset:
    """Some bytes, then an RST packet, as from a machine or a middlebox that has lost the connection's state."""

    sent: bytes = b""


NOT_FOUND = Reply(b"<html><title>404</title><p>Not found", status=404)


class ReplayServer:
    """Use as a context manager. `pages` maps URLs to bytes (HTML) or to a Reply; None is a connection that fails.

    `others` answers all other URLs (None: a connection that fails). robots.txt is 404 unless given. `asked` counts requests per URL.
    """

    def __init__(self, pages: dict[str, bytes | Reply | None], others: Reply | None = NOT_FOUND) -> None:
        self.pages = {fetch_url(url): page for url, page in pages.items()}
        self.others = others
        self.asked: Counter[str] = Counter()
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="replay-"))
        self.ca_bundle = str(self._folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.ca_bundle)
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.replay = self
        self.proxy_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._folder)

    def reply(self, url: str) -> Reply | Reset | None:
        """The reply to a URL; the request is counted."""
        with self._lock:
            self.asked[url] += 1
        if url in self.pages:
            page = self.pages[url]
            return Reply(page) if isinstance(page, bytes) else page
        return NOT_FOUND if url.endswith("/robots.txt") else self.others

    def context(self, host: str) -> ssl.SSLContext:
        """The server's TLS context for a host."""
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._authority.issue_cert(host, key_type=trustme.KeyType.ECDSA).configure_cert(context)
                self._contexts[host] = context
            return self._contexts[host]


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    replay: ReplayServer

    def handle_error(self, _request: object, _address: object) -> None:
        """Ignore errors: clients may leave at any time."""


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        replay = cast("_Server", self.server).replay
        connection: socket.socket = self.request
        connection.settimeout(30)
        origin = ""
        stream = connection.makefile("rb")
        while (head := _head(stream)) is not None:
            method, target = head
            if method == "CONNECT":
                host = target.rsplit(":", 1)[0].strip("[]")
                connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                stream.close()
                connection = replay.context(host).wrap_socket(connection, server_side=True)
                stream = connection.makefile("rb")
                origin = f"https://{target.removesuffix(':443')}"
                continue
            reply = replay.reply(f"{origin}{target}")
            if reply is None:
                break
            if isinstance(reply, Reset):
                connection.sendall(reply.sent)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends RST, not FIN
                break
            connection.sendall(reply.to_bytes())
        stream.close()
        connection.close()


def _head(stream: object) -> tuple[str, str] | None:
    """Method and target of the next request; None at the end of the connection."""
    readline = stream.readline  # type: ignore[attr-defined]
    parts = readline(1 << 16).decode("latin-1").split()
    if len(parts) < 2:
        return None
    while readline(1 << 16).strip():
        pass
    return parts[0], parts[1]

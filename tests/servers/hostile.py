"""A server on 127.0.0.1 that breaks HTTP in more than a hundred ways: the first label of the requested host names the case.

A case with bytes sends them, then keeps or closes the connection; a case that drips goes on until the client leaves or the server
stops.
"""

import gzip
import socket
import socketserver
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import zstandard

WHOLE = b"<!doctype html><title>A page</title>" + b"<p>Some words of a page that is longer than a packet.</p>" * 400
"""The only body that is a complete page."""

GZIPPED = gzip.compress(WHOLE, mtime=0)
PAGE = "page"
DRIP_SECONDS = 0.2


def head(*lines: str, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """Status line and headers of a response."""
    typed = [f"Content-Type: {kind}"] if kind else []
    text = "\r\n".join([f"HTTP/1.1 {status}", *typed, *lines, "", ""])
    return text.encode("latin-1" if max(map(ord, text)) < 256 else "utf-8")


def full(*lines: str, body: bytes = WHOLE, status: str = "200 OK", kind: str = "text/html") -> bytes:
    """A complete response."""
    return head(f"Content-Length: {len(body)}", *lines, status=status, kind=kind) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", lines: tuple[str, ...] = ()) -> bytes:
    """A chunked response."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head("Transfer-Encoding: chunked", *lines) + body + end


def moved(target: str) -> bytes:
    """A redirect."""
    return full(f"Location: {target}", body=b"", status="302 Found")


def refreshed(target: str) -> bytes:
    """A page that sends its reader on."""
    return full(body=f'<meta http-equiv="refresh" content="0; url={target}">'.encode())


def coded(coding: str, body: bytes) -> bytes:
    """A response in a content coding."""
    return full(f"Content-Encoding: {coding}", body=body)


def bare_deflate(data: bytes) -> bytes:
    """A raw deflate stream, without zlib's header and checksum."""
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


@dataclass(frozen=True)
class Case:
    """What the server sends, and the expected outcome: `page` or a named failure. `ends` closes the connection afterwards."""

    send: bytes | Callable[[], Iterator[bytes]]
    expected: str
    ends: bool = False


def drip(start: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    """`start`, then `piece` every DRIP_SECONDS for ever (an empty piece: silence)."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            yield piece

    return pieces


def flood(start: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    """`start`, then `piece` as fast as the client reads."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            yield piece * 64

    return pieces


BOMB_BLOCKS = 1024
"""Blocks of a MiB in a bomb."""


def unfolding(window: int) -> tuple[bytes, bytes]:
    """The beginning of a deflate stream, and a block of it that decodes to a MiB of zeros each time it is sent."""
    engine = zlib.compressobj(9, zlib.DEFLATED, window)
    begin = engine.compress(b"") + engine.flush(zlib.Z_FULL_FLUSH)
    return begin, engine.compress(b"\0" * (1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)


def bomb(coding: str, begin: bytes, block: bytes, *, chunks: bool = False) -> Case:
    """A GiB of zeros in a few coded bytes, without an end: a client that waits for the end decodes all of it."""
    lines = (f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if chunks else ["Connection: close"]))
    block = block * 16
    piece = b"%x\r\n%s\r\n" % (len(block), block) if chunks else block
    first = b"%x\r\n%s\r\n" % (len(begin), begin) if chunks and begin else begin

    def pieces() -> Iterator[bytes]:
        yield head(*lines) + first
        for _ in range(BOMB_BLOCKS // 16):
            yield piece

    return Case(pieces, "too_large" if "deflate" in coding or "gzip" in coding else "unknown_coding")


def nested(coding: str) -> Case:
    """A bomb that is coded twice."""
    inner_begin, inner_block = unfolding(31)
    outer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = outer.compress(inner_begin) + outer.flush(zlib.Z_FULL_FLUSH)
    return bomb(coding, begin, outer.compress(inner_block) + outer.flush(zlib.Z_FULL_FLUSH))


LONG = "x" * 70_000
SLOW = {
    "slow_body": Case(drip(head(f"Content-Length: {len(WHOLE)}") + WHOLE[:100], b"x"), "timeout"),
    "slow_header": Case(drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"y"), "timeout"),
    "endless_continue": Case(drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout"),
    "slow_trailers": Case(drip(chunked(WHOLE, end=b"0\r\n"), b"X-Trailer: 1\r\n"), "timeout"),
    "silence": Case(drip(b"", b""), "timeout"),
}
ENDLESS = {
    "endless_body": Case(flood(head(), b"<p>more</p>" * 100), "too_large"),
    "endless_chunks": Case(flood(head("Transfer-Encoding: chunked"), b"400\r\n" + b"z" * 1024 + b"\r\n"), "too_large"),
    "endless_headers": Case(flood(b"HTTP/1.1 200 OK\r\n", b"X-Again: 1\r\n"), "bad_response"),
    "endless_status_line": Case(flood(b"HTTP/1.1 200 ", b"O" * 1024), "bad_response"),
    "endless_redirects": Case(moved("/again"), "too_many_redirects"),
}
MEMBER = gzip.compress(b"\0" * (1 << 20), mtime=0)
BOMBS = {
    "bomb_gzip": bomb("gzip", *unfolding(31)),
    "bomb_gzip_chunked": bomb("gzip", *unfolding(31), chunks=True),
    "bomb_x_gzip": bomb("x-gzip", *unfolding(31)),
    "bomb_gzip_members": bomb("gzip", b"", MEMBER),
    "bomb_gzip_large_head": bomb("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"n" * 100_000 + b"\0", unfolding(-15)[1]),
    "bomb_deflate": bomb("deflate", *unfolding(15)),
    "bomb_deflate_chunked": bomb("deflate", *unfolding(15), chunks=True),
    "bomb_bare_deflate": bomb("deflate", *unfolding(-15)),
    "bomb_gzip_gzip": nested("gzip, gzip"),
    "bomb_identity_gzip": bomb("identity, gzip", *unfolding(31)),
    "bomb_br": bomb("br", b"", b"\x5b\xff\xff\x0f" + bytes(64)),
    "bomb_zstd": bomb("zstd", b"", zstandard.compress(b"\0" * (1 << 20))),
}
FRAMING = {
    "good": Case(full(), PAGE),
    "good_chunked": Case(chunked(WHOLE[:1000], WHOLE[1000:]), PAGE),
    "good_close_delimited": Case(head("Connection: close") + WHOLE, PAGE, ends=True),
    "good_http_10": Case(full().replace(b"HTTP/1.1", b"HTTP/1.0"), PAGE, ends=True),
    "chunk_extension": Case(head("Transfer-Encoding: chunked") + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(WHOLE), WHOLE), PAGE),
    "trailers": Case(chunked(WHOLE, end=b"0\r\nX-Sum: 1\r\n\r\n"), PAGE),
    "bare_newlines": Case(full().split(b"\r\n\r\n", 1)[0].replace(b"\r\n", b"\n") + b"\n\n" + WHOLE, PAGE),
    "processing_first": Case(b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + full(), PAGE),
    "continue_first": Case(b"HTTP/1.1 100 Continue\r\n\r\n" + full(), PAGE),
    "early_hints_first": Case(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + full(), PAGE),
    "no_reason": Case(full(status="200"), PAGE),
    "short_body": Case(head(f"Content-Length: {len(WHOLE) + 1}") + WHOLE, "truncated", ends=True),
    "half_body": Case(head(f"Content-Length: {len(WHOLE)}") + WHOLE[: len(WHOLE) // 2], "truncated", ends=True),
    "no_body": Case(head(f"Content-Length: {len(WHOLE)}"), "truncated", ends=True),
    "chunks_line_feeds": Case(head("Transfer-Encoding: chunked") + b"%x\n%s\n0\n\n" % (len(WHOLE), WHOLE), PAGE),
    "chunks_below_gzip": Case(chunked(WHOLE).replace(b"chunked", b"chunked, gzip", 1), "bad_response", ends=True),
    "last_chunk_cut": Case(chunked(WHOLE, end=b"0"), "truncated", ends=True),
    "empty_line_first": Case(b"\r\n" + full(), PAGE),
    "no_content_with_length": Case(head("Content-Length: 9", status="204 No Content"), "empty"),
    "short_chunk": Case(head("Transfer-Encoding: chunked") + b"%x\r\n%s" % (len(WHOLE), WHOLE[:500]), "truncated", ends=True),
    "no_last_chunk": Case(chunked(WHOLE, end=b""), "truncated", ends=True),
    "chunk_size_words": Case(
        head("Transfer-Encoding: chunked") + b"many\r\n" + WHOLE + b"\r\n0\r\n\r\n", "bad_response", ends=True
    ),
    "chunk_size_negative": Case(
        head("Transfer-Encoding: chunked") + b"-5\r\n" + WHOLE + b"\r\n0\r\n\r\n", "bad_response", ends=True
    ),
    "chunk_size_huge": Case(head("Transfer-Encoding: chunked") + b"f" * 15 + b"\r\n" + WHOLE, "truncated", ends=True),
    "length_negative": Case(head("Content-Length: -1") + WHOLE, "bad_response", ends=True),
    "length_words": Case(head("Content-Length: abc") + WHOLE, "bad_response", ends=True),
    "length_twice_differing": Case(head("Content-Length: 5", f"Content-Length: {len(WHOLE)}") + WHOLE, "bad_response", ends=True),
    "length_twice_equal": Case(full(f"Content-Length: {len(WHOLE)}"), PAGE),
    "length_listed": Case(full().replace(b"Content-Length: ", b"Content-Length: %d," % len(WHOLE)), PAGE),
    "length_listed_differing": Case(head(f"Content-Length: 5, {len(WHOLE)}") + WHOLE, "bad_response", ends=True),
    "length_space_after": Case(head(f"Content-Length: {len(WHOLE)} ") + WHOLE, PAGE),
    "length_tab_after": Case(head(f"Content-Length:\t{len(WHOLE)}\t") + WHOLE, PAGE),
    "length_folded": Case(head(f"Content-Length:\r\n {len(WHOLE)}") + WHOLE, PAGE),
    "length_space_before_colon": Case(head(f"Content-Length : {len(WHOLE)}") + WHOLE, PAGE),
    "length_space_in_name": Case(head(f"Content Length: {len(WHOLE)}") + WHOLE, "bad_response", ends=True),
    "length_words_and_chunked": Case(chunked(WHOLE, lines=("Content-Length: abc",)), PAGE),
    "chunked_twice": Case(chunked(WHOLE, lines=("Transfer-Encoding: chunked",)), PAGE),
    "chunked_space_after": Case(chunked(WHOLE).replace(b"chunked", b"chunked ", 1), PAGE),
    "transfer_identity": Case(full("Transfer-Encoding: identity"), PAGE),
    "transfer_gzip": Case(chunked(GZIPPED).replace(b"chunked", b"gzip, chunked", 1), "unknown_coding"),
    "length_huge": Case(head("Content-Length: 99999999999999999") + WHOLE, "truncated", ends=True),
    "length_float": Case(head("Content-Length: 1e3") + WHOLE, "bad_response", ends=True),
    "length_and_chunked": Case(chunked(WHOLE, lines=("Content-Length: 3",)), PAGE),
    "reset_at_once": Case(b"", "connection", ends=True),
    "closed_in_head": Case(b"HTTP/1.1 200 OK\r\nContent-", "truncated", ends=True),
    "closed_in_status": Case(b"HTTP/1.1 200 O", "truncated", ends=True),
    "closed_between_fields": Case(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "truncated", ends=True),
    "not_http": Case(b"SSH-2.0-OpenSSH_9.2\r\n", "bad_response", ends=True),
    "http_09": Case(WHOLE, "bad_response", ends=True),
    "smtp": Case(b"220 mail.example ESMTP\r\n", "bad_response", ends=True),
    "empty_status": Case(b"HTTP/1.1 \r\n\r\n", "bad_response", ends=True),
    "status_words": Case(full(status="OK fine"), "bad_response", ends=True),
    "status_999": Case(full(status="999 No"), "bad_response"),
    "status_000": Case(full(status="000 No"), "bad_response", ends=True),
    "status_1000": Case(full(status="1000 No"), "bad_response", ends=True),
    "status_negative": Case(full(status="-200 OK"), "bad_response", ends=True),
    "http_2_line": Case(full().replace(b"HTTP/1.1", b"HTTP/2"), "bad_response", ends=True),
    "nul_in_head": Case(full("X-Nul: a\0b"), PAGE),
    "header_without_colon": Case(full("no colon here"), "bad_response", ends=True),
    "header_line_70_kb": Case(full(f"X-Long: {LONG}"), "bad_response", ends=True),
    "headers_101": Case(full(*(f"X-{i}: {i}" for i in range(101))), PAGE),
    "headers_200": Case(full(*(f"X-{i}: {i}" for i in range(200))), PAGE),
    "headers_1001": Case(full(*(f"X-{i}: {i}" for i in range(1001))), "bad_response", ends=True),
    "headers_6_mb": Case(full(*(f"X-{i}: {'y' * 60_000}" for i in range(90))), "bad_response", ends=True),
    "space_before_colon": Case(full("P3P : CP=x"), PAGE),
    "header_byte_85": Case(full("X-Name: \xd1\x85Content-Encoding: br"), PAGE),
    "folded_header": Case(full("X-Folded: a\r\n b"), PAGE),
    "header_latin_1": Case(full("X-Name: caf\xe9"), PAGE),
}
CODINGS = {
    "good_gzip": Case(coded("gzip", GZIPPED), PAGE),
    "good_x_gzip": Case(coded("x-gzip", GZIPPED), PAGE),
    "good_gzip_capitals": Case(coded("GZIP", GZIPPED), PAGE),
    "good_gzip_members": Case(coded("gzip", gzip.compress(WHOLE[:500]) + gzip.compress(WHOLE[500:])), PAGE),
    "good_gzip_chunked": Case(chunked(GZIPPED[:9], GZIPPED[9:], lines=("Content-Encoding: gzip",)), PAGE),
    "good_deflate": Case(coded("deflate", zlib.compress(WHOLE)), PAGE),
    "good_bare_deflate": Case(coded("deflate", bare_deflate(WHOLE)), PAGE),
    "good_gzip_gzip": Case(coded("gzip, gzip", gzip.compress(GZIPPED)), PAGE),
    "good_identity": Case(coded("identity", WHOLE), PAGE),
    "coding_none": Case(coded("none", WHOLE), PAGE),
    "coding_utf_8": Case(coded("UTF-8", WHOLE), PAGE),
    "gzip_truncated": Case(coded("gzip", GZIPPED[:-20]), "bad_coding"),
    "gzip_without_tail": Case(coded("gzip", GZIPPED[:-8]), "bad_coding"),
    "gzip_bad_checksum": Case(coded("gzip", GZIPPED[:-8] + b"\0" * 8), "bad_coding"),
    "gzip_junk_after": Case(coded("gzip", GZIPPED + b"junk"), PAGE),
    "gzip_zeros_after": Case(coded("gzip", GZIPPED + bytes(512)), PAGE),
    "gzip_second_member_cut": Case(coded("gzip", GZIPPED + GZIPPED[:20]), "bad_coding"),
    "gzip_flipped": Case(coded("gzip", GZIPPED[:60] + bytes([GZIPPED[60] ^ 255]) + GZIPPED[61:]), "bad_coding"),
    "gzip_is_plain": Case(coded("gzip", WHOLE), "bad_coding"),
    "deflate_truncated": Case(coded("deflate", zlib.compress(WHOLE)[:-20]), "bad_coding"),
    "deflate_junk_after": Case(coded("deflate", zlib.compress(WHOLE) + b"junk"), "bad_coding"),
    "br_unasked": Case(coded("br", b"\x0b\x02\x80page\x03"), "unknown_coding"),
    "zstd_unasked": Case(coded("zstd", b"\x28\xb5\x2f\xfd page"), "unknown_coding"),
    "coding_unknown": Case(coded("sdch", WHOLE), "unknown_coding"),
    "coding_nonsense": Case(coded("\x01\x02", WHOLE), "unknown_coding"),
    "codings_three": Case(coded("gzip, gzip, gzip", gzip.compress(gzip.compress(GZIPPED))), "unknown_coding"),
    "too_large": Case(full(body=b"<p>" + b"x" * 3_000_000), "too_large"),
    "empty": Case(full(body=b""), "empty"),
    "blank": Case(full(body=b" \r\n \t\n"), "empty"),
    "no_content": Case(head(status="204 No Content"), "empty"),
    "partial_content": Case(full(status="206 Partial Content"), "http_other"),
    "pdf_as_html": Case(full(body=b"%PDF-1.7 ..."), "not_html"),
    "png_as_html": Case(full(body=b"\x89PNG\r\n\x1a\n..."), "not_html"),
    "binary_as_text": Case(full(body=b"\0\1\2\3" * 200, kind="text/plain"), "not_html"),
    "json": Case(full(body=b'{"a": 1}', kind="application/json"), "not_html"),
    "no_type_html": Case(full(kind=""), PAGE),
    "no_type_words": Case(full(body=b"words", kind=""), "not_html"),
    "octets_html": Case(full(kind="application/octet-stream"), PAGE),
    "type_nonsense": Case(full(kind="\xff;;;="), PAGE),
    "type_twice": Case(full("Content-Type: text/html; charset=utf-8"), PAGE),
    "type_listed": Case(full(kind="text/html,text/html"), PAGE),
    "type_twice_differing": Case(full("Content-Type: image/png"), "not_html"),
    "type_without_slash": Case(full(kind="html"), PAGE),
    "charset_nul": Case(full(kind="text/html; charset=u\0tf"), PAGE),
    "charset_punycode": Case(full(kind="text/html; charset=punycode"), PAGE),
}
REDIRECTS = {
    "to_file": Case(moved("file:///etc/passwd"), "bad_redirect"),
    "to_gopher": Case(moved("gopher://127.0.0.1:70/"), "bad_redirect"),
    "to_javascript": Case(moved("javascript:alert(1)"), "bad_redirect"),
    "to_data": Case(moved("data:text/html,x"), "bad_redirect"),
    "to_nowhere": Case(full(body=b"", status="301 MovedLink"), "bad_redirect"),
    "to_bad_ipv6": Case(moved("http://[::1/"), "bad_redirect"),
    "to_bad_port": Case(moved("http://example.test:99999/"), "bad_redirect"),
    "to_long_label": Case(moved(f"http://{'a' * 64}.test/"), "bad_redirect"),
    "to_empty_label": Case(moved("http://a..test/"), "bad_redirect"),
    "to_long_url": Case(moved("/" + "a" * 9000), "bad_redirect"),
    "to_control": Case(moved("http://exa\x01mple.test/"), "bad_redirect"),
    "to_private": Case(moved("http://10.1.2.3/"), "forbidden_address"),
    "to_metadata": Case(moved("http://169.254.169.254/latest/meta-data/"), "forbidden_address"),
    "to_utf_8": Case(moved("http://good.test:{port}/\u4e2d?\u6587"), PAGE),
    "to_good_twice": Case(full("Location: /good", "Location: /good", body=b"", status="302 Found"), "too_many_redirects"),
    "to_two_places": Case(full("Location: /a", "Location: /b", body=b"", status="302 Found"), "bad_redirect"),
    "to_good_slashes": Case(moved("http:\\\\\\good.test:{port}\\a"), PAGE),
    "to_good_scheme_slashes": Case(moved("///good.test:{port}/"), PAGE),
    "to_latin_1": Case(moved("http://good.test:{port}/caf\xe9"), PAGE),
    "refresh_by_header": Case(full("Refresh: 0; url=http://good.test:{port}/", body=b""), PAGE),
    "refresh_to_itself": Case(full("Refresh: 5; url=http://refresh-to-itself.test:{port}/#top"), PAGE),
    "refresh_on_and_on": Case(refreshed("on/and"), "too_many_redirects"),
    "refresh_to_private": Case(refreshed("http://10.1.2.3/"), "forbidden_address"),
    "refresh_to_metadata": Case(full("Refresh: 1; url=http://169.254.169.254/latest/"), "forbidden_address"),
    "to_good": Case(moved("http://good.test:{port}/"), PAGE),
}
CASES = SLOW | ENDLESS | BOMBS | FRAMING | CODINGS | REDIRECTS


class HostileServer:
    """Use as a context manager. `url(case)` is on a host named after the case, which `lookup` resolves to this server."""

    def __init__(self, cases: dict[str, Case] | None = None, address: str = "127.0.0.1") -> None:
        self.cases = CASES if cases is None else cases
        self.address = address
        self.stopping = threading.Event()
        self.connections = 0

    def __enter__(self) -> Self:
        self._server = _Server((self.address, 0), _Connection)
        self._server.hostile = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, case: str, path: str = "/", number: int = 0) -> str:
        """The URL of a case; `number` distinguishes hosts of one case."""
        return f"http://{case.replace('_', '-')}.{f'n{number}.' if number else ''}test:{self.port}{path}"

    def lookup(self, host: str, port: int, **options: Any) -> list[Any]:
        """Names under .test resolve to this server; other hosts must be addresses."""
        if host.endswith(".test"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]
        return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512
    hostile: HostileServer

    def handle_error(self, _request: object, _address: object) -> None:
        """Ignore errors: clients may leave at any time."""


class _Connection(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.hostile.connections += 1
        self.request.settimeout(20)
        stream = self.request.makefile("rb")
        while (request := read_request(stream)) is not None:
            host, path, keep = request
            case = self.server.hostile.cases[host.split(".")[0].replace("-", "_")]
            if path == "/robots.txt":
                self.request.sendall(full(body=b"", status="404 Not Found"))
            elif not self._send(case) or case.ends or not keep:
                break
        if request is not None and case.send == b"":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()

    def _send(self, case: Case) -> bool:
        if isinstance(case.send, bytes):
            self.request.sendall(case.send.replace(b"{port}", b"%d" % self.server.hostile.port))
            return True
        pieces = case.send()
        dripping = case in SLOW.values()
        for piece in pieces:
            if self.server.hostile.stopping.is_set():
                return False
            self.request.sendall(piece)
            if dripping and self.server.hostile.stopping.wait(DRIP_SECONDS):
                return False
        return False


def read_request(stream: Any) -> tuple[str, str, bool] | None:
    """Host, path, and whether the client would keep the connection."""
    first = stream.readline(1 << 16).decode("latin-1").split()
    if len(first) < 2:
        return None
    host, keep = "", True
    while line := stream.readline(1 << 16).decode("latin-1").strip():
        name, _, value = line.partition(":")
        host = value.strip().rsplit(":", 1)[0] if name.lower() == "host" else host
        keep = keep and not (name.lower() == "connection" and "close" in value.lower())
    return host, first[1], keep

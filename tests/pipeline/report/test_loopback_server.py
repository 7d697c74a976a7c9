"""The server of the report answers browsers of this machine, by name and in bounded time; raw sockets play everyone else."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from pipeline.report.loopback_server import MAX_CONNECTIONS, PageServer


@contextmanager
def serving(page: Callable[[], str] = lambda: "<p>page", **options: float) -> Iterator[tuple[str, int]]:
    with PageServer(0, page, **options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield "127.0.0.1", int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def ask(address: tuple[str, int], request: str | bytes) -> bytes:
    """All that the server sends until it closes the connection. `{port}` in a request is the server's."""
    data = request.replace("{port}", str(address[1])).encode("latin-1") if isinstance(request, str) else request
    with socket.create_connection(address, timeout=60) as connection:
        try:
            connection.sendall(data)
            return read_all(connection)
        except OSError:  # the server closes without reading the rest
            return b""


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(1 << 16):
        answer += chunk
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


GOOD = "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"


def test_the_page_is_served_to_its_own_names_with_a_policy_that_runs_nothing() -> None:
    with serving() as address:
        for host in ("127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}"):
            answer = ask(address, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
            assert status(answer) == 200
            head, _, body = answer.partition(b"\r\n\r\n")
            assert body == b"<p>page"
            assert b"default-src 'none'" in head
            assert b"nosniff" in head
            assert b"python" not in head.lower()


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example:{port}\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: localhost.:{port}\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 403),
        ("HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 404),
        ("GET /?x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 404),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("PUT / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("DELETE / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("BREW / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n", 405),
        ("GET / HTTP/9.9\r\nHost: 127.0.0.1:{port}\r\n\r\n", 505),
        ("GET / nonsense\r\n\r\n", 400),
        ("GET /" + "x" * 70_000 + " HTTP/1.1\r\n\r\n", 414),
        ("GET / HTTP/1.1\r\n" + "A: b\r\n" * 200 + "\r\n", 431),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str) else str(value),
)
def test_every_other_request_is_refused(request_text: str, expected: int) -> None:
    with serving(lambda: pytest.fail("the page was made")) as address:
        answer = ask(address, request_text)
        assert status(answer) == expected
        assert b"etc/passwd" not in answer
        assert expected != 405 or b"Allow: GET, HEAD" in answer


def test_head_has_no_body() -> None:
    with serving() as address:
        answer = ask(address, GOOD.replace("GET", "HEAD"))
        assert status(answer) == 200
        assert b"Content-Length: 7" in answer
        assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff /\r\n\r\n"]
)
def test_bytes_that_are_no_request_end_their_connection_alone(data: bytes) -> None:
    with serving(request_seconds=0.1) as address:
        assert b"200 OK" not in ask(address, data)
        assert status(ask(address, GOOD)) == 200


def test_idle_and_slow_connections_are_closed() -> None:
    """recv returns when the server closes the connection; without a limit this test does not end."""
    with serving(request_seconds=0.1) as address:
        for start in (
            b"",
            b"GET / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1",
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n",
        ):
            with socket.create_connection(address, timeout=60) as connection:
                connection.sendall(start)
                assert b"200" not in read_all(connection)


def test_a_reader_that_takes_no_answer_is_closed() -> None:
    with serving(lambda: "x" * (64 << 20), request_seconds=0.1) as address, socket.create_connection(address, timeout=60) as slow:
        slow.sendall(GOOD.replace("{port}", str(address[1])).encode())
        assert status(ask(address, GOOD.replace("GET", "HEAD"))) == 200
        taken = 0
        try:
            while chunk := slow.recv(1 << 10):
                taken += len(chunk)
                if taken == 1 << 10:
                    ask(address, b"")  # ends by its deadline, after that of the first
        except ConnectionResetError:
            pass
        assert taken < 64 << 20


def test_connections_beyond_the_limit_are_closed_and_the_others_go_on() -> None:
    with serving(request_seconds=600) as address, ExitStack() as held:
        idle = [held.enter_context(socket.create_connection(address, timeout=60)) for _ in range(MAX_CONNECTIONS)]
        request = GOOD.replace("{port}", str(address[1])).encode()
        idle[0].sendall(request[:20])
        with socket.create_connection(address, timeout=60) as refused:
            assert read_all(refused) == b""
        idle[0].sendall(request[20:])
        assert status(read_all(idle[0])) == 200


def test_an_error_of_the_page_is_answered_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    pages: Iterator[str | Exception] = iter([OSError("disk\x1b[2J gone"), KeyError("x"), ValueError("<b>"), "<p>again"])

    def page() -> str:
        made = next(pages)
        if isinstance(made, Exception):
            raise made
        return made

    caplog.set_level(logging.ERROR)
    with serving(page) as address:
        for _ in range(3):
            answer = ask(address, GOOD)
            assert status(answer) == 500
            assert b"gone" not in answer
        assert ask(address, GOOD).endswith(b"<p>again")
    assert "\x1b" not in caplog.text
    assert "OSError: disk\\x1b[2J gone" in caplog.text


def test_a_page_with_lone_surrogates_is_served() -> None:
    with serving(lambda: "<p>\ud800") as address:
        assert ask(address, GOOD).endswith(b"<p>\\ud800")


def test_it_listens_on_loopback_alone() -> None:
    with serving() as (_, port):
        listening = [
            c for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN and c.laddr.port == port
        ]
        assert [c.laddr.ip for c in listening] == ["127.0.0.1"]

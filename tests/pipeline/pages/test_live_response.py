"""Live responses without a network: damaged ones are read as their records are, in pieces of any size."""

import http.client
import io
import random

import pytest
from servers.http_grammar import generated

from pipeline.pages.decoding import codings, decode
from pipeline.pages.live_response import LiveResponse
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_record import WarcRecord

Reading = tuple[int, str, tuple[tuple[str, str], ...], bytes] | None


class Wire:
    """A socket for http.client, with the bytes of a response."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def makefile(self, _mode: str) -> io.BytesIO:
        return self.stream


def opened(data: bytes) -> LiveResponse:
    response = LiveResponse(Wire(data), method="GET")  # type: ignore[arg-type]
    response.begin()
    return response


def live(data: bytes) -> Reading:
    try:
        response = opened(data)
        if set(codings(response.head.value("transfer-encoding"))) - {"chunked"}:
            return None
        body = b"".join(decode([response.read()], response.head.value("content-encoding"), 1 << 28))
    except (http.client.HTTPException, ValueError):
        return None
    return response.head.status, response.head.phrase, response.head.fields, body


def stored(data: bytes) -> Reading:
    try:
        response = http_response(WarcRecord(0, len(data), {"warc-type": "response"}, data))
    except ValueError:
        return None
    return response.status, response.phrase, response.headers, response.body


PIECES = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"\0", b"0", b"5\r\n", b"Content-Length: 5\r\n", b"\xff", b";", b"x",
          b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"\x1f\x8b"]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_what_is_read_live_is_read_alike_from_its_record(seed: int) -> None:
    chance = random.Random(seed)
    read = 0
    for number in range(1500):
        data = bytearray(generated(chance.randrange(2000)).wire)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(min(len(data), 400) + 1)
            data[at : at + chance.choice([0, 0, 1, 5])] = chance.choice([b"", *PIECES])
        ours = live(bytes(data))
        if ours is not None:
            read += 1
            theirs = stored(bytes(data))
            assert theirs is not None, (number, bytes(data))
            assert theirs[:3] == ours[:3], (number, bytes(data))
            # a stored body may be longer than its Content-Length: the record's own length says what was stored
            longer = b"content-length" in bytes(data).lower() and theirs[3].startswith(ours[3])
            assert theirs[3] == ours[3] or longer, (number, bytes(data))
    assert read > 200


@pytest.mark.parametrize("amount", [1, 2, 7, 99, 65536, 10**9, None])
def test_body_is_read_in_pieces_of_any_size(amount: int | None) -> None:
    body = bytes(range(256)) * 40
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 999]), body[at : at + 999]) for at in range(0, len(body), 999))
    for lines, sent in (
        (b"Content-Length: %d\r\n" % len(body), body),
        (b"Transfer-Encoding: chunked\r\n", chunks + b"0\r\n\r\n"),
        (b"", body),
    ):
        response = opened(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + sent)
        pieces = [response.read()] if amount is None else list(iter(lambda: response.read(amount), b""))  # noqa: B023
        assert b"".join(pieces) == body
        assert {len(piece) for piece in pieces[:-1]} <= {amount}
        assert response.read(5) == response.read() == b""
        assert response.isclosed()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", http.client.RemoteDisconnected),
        (b"\r\n", http.client.RemoteDisconnected),
        (b"HTTP/1.1 200", http.client.IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nA: b", http.client.IncompleteRead),
        (b"SSH-2.0\r\n", http.client.HTTPException),
        (b"HTTP/2 200\r\n\r\n", http.client.UnknownProtocol),
        (b"HTTP/3 200 OK\r\n\r\n", http.client.UnknownProtocol),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", http.client.HTTPException),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", http.client.IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", http.client.IncompleteRead),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabcx\r\n", http.client.HTTPException),
    ],
)
def test_errors_are_those_of_the_standard_library(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        opened(data).read()


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", False),
        (b"HTTP/1.1 304 No\r\n", False),
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 5\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: Close\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\nConnection: close\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", True),
        (b"http/1.0 200 OK\r\nContent-Length: 0\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n", False),
    ],
)
def test_connection_is_kept_where_the_end_of_the_body_is_known(head: bytes, closes: bool) -> None:
    assert opened(head + b"\r\n").will_close is closes

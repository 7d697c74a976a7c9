"""A response as it arrives: http.client's and urllib3's connections with our reader of heads and bodies."""

import http.client
from collections.abc import Iterator
from typing import Any

import urllib3

from pipeline.pages.header_parser import CutHeadError, HeadError, NoHeadError, ResponseHead, read_head
from pipeline.pages.message_body import PIECE_BYTES, BodyError, CutBodyError, body_pieces


class _HeaderFields(http.client.HTTPMessage):
    """A head's fields for http.client, which asks for some by name. urllib3 gets none: it would read the framing in its own way."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__()
        self._head = head

    def get(self, name: str, failobj: Any = None) -> Any:
        """All values of a field, joined by commas."""
        return self._head.value(name) or failobj

    def items(self) -> list[tuple[str, str]]:
        """No fields."""
        return []


class LiveResponse(http.client.HTTPResponse):
    """http.client's response; `head` holds all that the server said before the body."""

    head: ResponseHead
    _pieces: Iterator[bytes] = iter(())
    _rest = b""

    def begin(self) -> None:
        """Read the head and find where the body ends, and whether the connection closes (RFC 9112 sections 6.3 and 9.3)."""
        try:
            self.head = head = read_head(self.fp)
            chunked, length = head.framing()
        except NoHeadError as error:
            raise http.client.RemoteDisconnected(str(error)) from error
        except CutHeadError as error:
            raise http.client.IncompleteRead(b"") from error
        except HeadError as error:
            raise http.client.HTTPException(str(error)) from error
        if not head.version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(head.version)
        self.code = self.status = head.status
        self.reason = head.phrase
        self.version = 10 if head.version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = _HeaderFields(head)
        self.chunked = chunked
        self.length = length
        self._pieces = body_pieces(self.fp, chunked=chunked, length=length)
        self.will_close = self._check_close() or (not chunked and length is None)  # type: ignore[attr-defined]

    def read(self, amt: int | None = None) -> bytes:
        """The next `amt` bytes of the body, or all of it. Fewer at its end alone; none behind it, which frees the connection."""
        if amt is None:
            return b"".join(iter(lambda: self.read(PIECE_BYTES), b""))
        parts, size = [self._rest], len(self._rest)
        try:
            while size < amt and (piece := next(self._pieces, b"")):
                parts.append(piece)
                size += len(piece)
        except CutBodyError as error:
            raise http.client.IncompleteRead(b"") from error
        except BodyError as error:
            raise http.client.HTTPException(str(error)) from error
        data = b"".join(parts)
        if not data:
            self.close()
        self._rest = data[amt:]
        return data[:amt]


def head_of(response: urllib3.BaseHTTPResponse) -> ResponseHead:
    """The head of urllib3's response to a request on a connection whose responses are `LiveResponse`s."""
    original = response._original_response  # type: ignore[attr-defined]  # urllib3 has no public name for it
    assert isinstance(original, LiveResponse)
    return original.head

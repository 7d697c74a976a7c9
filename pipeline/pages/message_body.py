"""The body of an HTTP response, live or stored: up to its declared length, in chunks, or up to the end of the data.

A body that ends early is an error, never a shorter page.
"""

import re
from collections.abc import Iterator

from pipeline.pages.header_parser import LINE_ENDS, MAX_HEAD_BYTES, MAX_LINE_BYTES, MAX_LINES, ByteStream

PIECE_BYTES = 1 << 16
_CHUNK_HEAD = re.compile(rb"[ \t]*([0-9a-fA-F]{1,40})[ \t]*(;[^\n]*)?\r?\n")


class BodyError(ValueError):
    """A body is not framed as its head says."""


class CutBodyError(BodyError):
    """The data ends before the body does."""


def body_pieces(stream: ByteStream, *, chunked: bool, length: int | None) -> Iterator[bytes]:
    """The pieces of a body, without its chunk framing; the stream is left behind it. Raises BodyError."""
    if chunked:
        return _chunks(stream)
    return _to_the_end(stream) if length is None else _whole(stream, length, "body")


def is_chunked(data: bytes) -> bool:
    """Whether data begins with the head of a chunk."""
    return bool(_CHUNK_HEAD.match(data))


def _to_the_end(stream: ByteStream) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _whole(stream: ByteStream, size: int, what: str) -> Iterator[bytes]:
    missing = size
    while missing:
        piece = stream.read(min(missing, PIECE_BYTES))
        if not piece:
            raise CutBodyError(f"the {what} ends early: {missing} of {size} bytes are missing")
        missing -= len(piece)
        yield piece


def _chunks(stream: ByteStream) -> Iterator[bytes]:
    """The content of a chunked body (RFC 9112 section 7.1), whose lines may end in LF and whose trailer fields are skipped."""
    extensions = 0
    while True:
        line = stream.readline(MAX_LINE_BYTES + 1)
        match = _CHUNK_HEAD.fullmatch(line)
        if not match:
            if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                raise CutBodyError("the chunked body ends early")
            raise BodyError(f"damaged chunked body: {line[:20]!r} is no size of a chunk")
        size = int(match[1], 16)
        if not size:
            _skip_trailers(stream)
            return
        extensions += len(match[2] or b"")
        if extensions > MAX_HEAD_BYTES:
            raise BodyError(f"more than {MAX_HEAD_BYTES} bytes of chunk extensions")
        yield from _whole(stream, size, "chunked body")
        end = stream.readline(2)
        if end in (b"", b"\r"):
            raise CutBodyError("the chunked body ends early")
        if end not in LINE_ENDS:
            raise BodyError(f"damaged chunked body: {end!r} after a chunk")


def _skip_trailers(stream: ByteStream) -> None:
    """Read past the trailer fields. The body is complete already: they may end with the stream."""
    size = 0
    for _ in range(MAX_LINES):
        line = stream.readline(MAX_LINE_BYTES + 1)
        size += len(line)
        if not line or line in LINE_ENDS:
            return
        if size > MAX_HEAD_BYTES:
            break
    raise BodyError(f"more than {MAX_LINES} lines or {MAX_HEAD_BYTES} bytes of trailers")

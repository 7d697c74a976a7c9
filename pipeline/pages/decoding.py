"""Content codings of HTTP, undone by ourselves: bounded, and a truncated stream is an error and not a shorter page.

Measured: requests returns 40,809 of 44,000 bytes of a cut gzip body without a word, and swallows a gzip bomb of 1 GiB whole.
"""

import zlib
from collections.abc import Iterable, Iterator

ACCEPTED = "gzip, deflate"
MAX_CODINGS = 2
STEP_BYTES = 1 << 16


class DecodingError(ValueError):
    """The body is not what its Content-Encoding says, or not all of it."""


class UnknownCodingError(ValueError):
    """A coding that was not asked for."""


class TooLargeError(ValueError):
    """The body, as sent or decoded, is larger than the limit."""


def decoded(chunks: Iterable[bytes], content_encoding: str, limit_bytes: int) -> Iterator[bytes]:
    """The body whose coded bytes come in `chunks`, a bounded piece at a time. Reads no further than `limit_bytes`, coded or decoded.

    Raises TooLargeError, DecodingError, UnknownCodingError.
    """
    undone = codings(content_encoding)
    if len(undone) > MAX_CODINGS:
        raise UnknownCodingError(f"{len(undone)} codings")
    stream: Iterator[bytes] = _capped(chunks, limit_bytes)
    for coding in reversed(undone):
        stream = _decoder(coding)(stream)
    return _capped(stream, limit_bytes)


def codings(content_encoding: str) -> list[str]:
    """The codings that a Content-Encoding header names, in the order of their doing; none for identity."""
    return [coding for coding in (c.strip().lower() for c in content_encoding.split(",")) if coding not in ("", "identity")]


def _capped(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit_bytes:
            raise TooLargeError(f"more than {limit_bytes:,} bytes")
        yield chunk


def _decoder(coding: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    if coding in ("gzip", "x-gzip"):
        return _gunzip
    if coding == "deflate":
        return _inflate
    raise UnknownCodingError(coding[:40])


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """All members of a gzip stream."""
    engine = None
    for chunk in chunks:
        data = chunk
        while data:
            engine = engine or zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield from _steps(engine, data)
            data = engine.unused_data
            if engine.eof:
                engine = None
    if engine is not None:
        raise DecodingError("gzip stream ends early")


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A zlib stream, or the bare deflate stream that some servers send under the same name."""
    engine = None
    for chunk in chunks:
        if not chunk:
            continue
        if engine is None:
            zlib_header = chunk[0] & 0x0F == zlib.DEFLATED and chunk[0] >> 4 <= 7
            engine = zlib.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        if engine.eof:
            raise DecodingError("bytes after the end of the deflate stream")
        yield from _steps(engine, chunk)
        if engine.unused_data:
            raise DecodingError("bytes after the end of the deflate stream")
    if engine is not None and not engine.eof:
        raise DecodingError("deflate stream ends early")


def _steps(engine: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """What `data` decodes to, a bounded piece at a time, so that a bomb is met by the cap before it unfolds."""
    try:
        while data and not engine.eof:
            yield engine.decompress(data, STEP_BYTES)
            data = engine.unconsumed_tail
        while not engine.eof and (rest := engine.decompress(b"", STEP_BYTES)):
            yield rest
    except zlib.error as error:
        raise DecodingError(str(error)) from error

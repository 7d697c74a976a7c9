"""Decoding of HTTP content codings with a size limit; a truncated stream is an error, never a shorter page.

Measured: requests silently returns 40,809 of 44,000 bytes of a truncated gzip body, and decodes a gzip bomb of 1 GiB to its end.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator

ACCEPTED = "gzip, deflate"
MAX_CODINGS = 2
STEP_BYTES = 1 << 16
GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""zlib's window argument for the gzip format."""
_NO_CODING = re.compile(
    r"|identity|none|binary|[78]bit|utf-?(?:8|16(?:le|be)?)|(?:us-)?ascii|iso-?8859-\d{1,2}|(?:windows-|cp)125\d"
)
"""Names under Content-Encoding that say that there is none, charsets among them."""


class DecodingError(ValueError):
    """The body is not in the coding of its Content-Encoding, or is truncated."""


class UnknownCodingError(ValueError):
    """The body is in a coding that the crawler does not accept."""


class TooLargeError(ValueError):
    """The body, as sent or decoded, is larger than the limit."""


def decode(chunks: Iterable[bytes], content_encoding: str, limit_bytes: int) -> Iterator[bytes]:
    """The decoded body in pieces of bounded size. `chunks` are the coded bytes; at most `limit_bytes` are read, coded or decoded.

    Raises TooLargeError, DecodingError, UnknownCodingError.
    """
    applied = codings(content_encoding)
    if len(applied) > MAX_CODINGS:
        raise UnknownCodingError(f"{len(applied)} codings")
    stream: Iterator[bytes] = _limited(chunks, limit_bytes)
    for coding in reversed(applied):
        stream = _decoder(coding)(stream)
    return _limited(stream, limit_bytes)


def codings(content_encoding: str) -> list[str]:
    """The codings that a Content-Encoding header names, in the order in which they were applied.

    Identity is none, and neither are the charsets and transfer encodings of mail that servers send under this name.

    >>> codings("identity, GZIP")
    ['gzip']
    """
    names = (name.strip(" \t").lower() for name in content_encoding.split(","))
    return [name for name in names if not _NO_CODING.fullmatch(name)]


def _limited(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit_bytes:
            raise TooLargeError(f"more than {limit_bytes:,} bytes")
        yield chunk


def _decoder(coding: str) -> Callable[[Iterable[bytes]], Iterator[bytes]]:
    if coding in ("gzip", "x-gzip"):
        return _gunzip
    if coding == "deflate":
        return _inflate
    raise UnknownCodingError(coding[:40])


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of all members of a gzip stream. Bytes after a member that begin no other are ignored, as by browsers."""
    engine, members, data, ended = None, 0, b"", False
    for chunk in chunks:
        data = b"" if ended else data + chunk
        while data:
            if engine is None:
                if members and len(data) < len(GZIP_MAGIC):
                    break  # the next chunk decides
                if ended := members > 0 and not data.startswith(GZIP_MAGIC):
                    break
                engine = zlib.decompressobj(GZIP_WINDOW)
            yield from _steps(engine, data)
            data = engine.unused_data
            if engine.eof:
                engine, members = None, members + 1
    if engine is not None:
        raise DecodingError("gzip stream ends early")


def _inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a zlib stream, or of the raw deflate stream that some servers send under that name."""
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
    """The content of `data` in pieces of bounded size: the limit stops a bomb before it is decoded."""
    try:
        while data and not engine.eof:
            yield engine.decompress(data, STEP_BYTES)
            data = engine.unconsumed_tail
        while not engine.eof and (rest := engine.decompress(b"", STEP_BYTES)):
            yield rest
    except zlib.error as error:
        raise DecodingError(str(error)) from error

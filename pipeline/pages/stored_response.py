"""The HTTP response in a record of a web archive: heads and bodies are read as those of live responses are.

Archives hold four things that no live response may have, and that are no error here: a body without the chunk framing or without
the content coding that its head declares, a transfer coding below the chunks, and heads of HTTP/2 and HTTP/3.
"""

import io
import re
import zlib

from pipeline.pages.decoding import GZIP_MAGIC, MAX_CODINGS, DecodingError, UnknownCodingError, codings, decode
from pipeline.pages.header_parser import (
    BODILESS_STATUSES,
    SWITCHING_PROTOCOLS,
    HeadError,
    ResponseHead,
    listed,
    read_status_line,
    split_head,
)
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.message_body import BodyError, CutBodyError, body_pieces, is_chunked
from pipeline.pages.warc_record import MAX_RECORD_BYTES, TruncatedRecordError, WarcError, WarcRecord

GZIP_CODINGS = frozenset({"gzip", "x-gzip"})
_SNIFFED_BYTES = 1445
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""Binary data bytes of the WHATWG MIME Sniffing standard, section 3."""
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WIDE_BYTES = 16
_RENAMED_CODING = re.compile(r"x-(?:crawl|(?:archive-)?orig(?:inal)?)-content-encoding", re.IGNORECASE)
"""The field of a coding that Common Crawl, Browsertrix or the Internet Archive undid before it stored the body."""


def http_status(record: WarcRecord) -> int:
    """Status code of the HTTP response in a record; 200 for a resource, which has no head. Raises WarcError."""
    if record.kind == "resource":
        return 200
    try:
        status = read_status_line(io.BytesIO(record.block))[1]
        return status if status >= 200 or status == SWITCHING_PROTOCOLS else split_head(record.block)[0].status
    except HeadError as error:
        raise WarcError(f"record at byte {record.offset}: {error}") from error


def http_response(record: WarcRecord) -> HttpResponse:
    """The HTTP response in a record, its body decoded. Raises WarcError, and the errors of `decoding.decode`.

    A coding that the body does not have is no error: Common Crawl stored bodies decoded under their old headers until 2018. Its
    header is renamed X-Crawl-Content-Encoding.
    """
    if record.kind == "resource":
        fields = (("Content-Type", record.headers.get("content-type", "")),)
        return HttpResponse(record.url, 200, "OK", fields, record.block, ())
    try:
        head, rest = split_head(record.block)
        return _response(record.url, head, rest)
    except CutBodyError as error:
        raise TruncatedRecordError(f"record at byte {record.offset}: {error}") from error
    except (HeadError, BodyError) as error:
        raise WarcError(f"record at byte {record.offset}: {error}") from error


def stored_head(record: WarcRecord) -> HttpResponse | None:
    """The response in a record without its body, as a revisit record holds it; None where there is none."""
    try:
        head, _ = split_head(record.block + b"\r\n\r\n")  # the empty line is often left out
    except HeadError:
        return None
    return HttpResponse(record.url, head.status, head.phrase, head.fields, b"", ())


def _response(url: str, head: ResponseHead, rest: bytes) -> HttpResponse:
    applied = codings(head.value("content-encoding"))
    coded = _payload(head, applied, rest)
    body, undone = _undo(applied, coded)
    fields = tuple(_without_coding(head.fields)) if applied and not undone else head.fields
    return HttpResponse(url, head.status, head.phrase, fields, body, (), coded if undone else None)


def _payload(head: ResponseHead, applied: list[str], rest: bytes) -> bytes:
    """The body without its transfer codings. Raises HeadError, BodyError, and the errors of `decoding.decode`."""
    chunked, length = head.framing()
    if chunked and not is_chunked(rest):  # wget stores bodies so
        chunked = False
    elif length is not None and _has_another_length(head, applied, rest, length):
        length = None
    framed = chunked or length not in (None, len(rest))
    body = b"".join(body_pieces(io.BytesIO(rest), chunked=chunked, length=length)) if framed else rest
    below = [coding for coding in codings(",".join(listed(head.values("transfer-encoding")))) if coding != "chunked"]
    return _undo(below, body)[0] if below else body


def _has_another_length(head: ResponseHead, applied: list[str], body: bytes, length: int) -> bool:
    """Whether a body is not that whose length the head gives: a crawler undid its coding, or its writer edited it to be longer.

    A record's own length says what was stored. A body shorter than its Content-Length was cut.
    """
    if head.status in BODILESS_STATUSES:
        return False
    if len(body) > length:
        return True
    if any(_RENAMED_CODING.fullmatch(name) for name, _ in head.fields):
        return True
    return bool(applied and body) and _lacks(applied[-1], body)


def _without_coding(fields: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [(f"X-Crawl-{name}" if name.lower() == "content-encoding" else name, value) for name, value in fields]


def _undo(applied: list[str], body: bytes) -> tuple[bytes, bool]:
    """The body without those of its codings that are there, and whether one was. An empty body has every coding."""
    if len(applied) > MAX_CODINGS and not _lacks(applied[-1], body):
        raise UnknownCodingError(f"{len(applied)} codings")
    undone = False
    for coding in reversed(applied):
        content = _decoded(coding, body)
        if content is not None:
            body, undone = content, True
    return body, undone


def _decoded(coding: str, body: bytes) -> bytes | None:
    """The body without one coding; None where it plainly does not have it. Raises the errors of `decoding.decode`."""
    if _lacks(coding, body):
        return None
    try:
        return b"".join(decode([body], coding, MAX_RECORD_BYTES))
    except (DecodingError, UnknownCodingError):
        if coding not in GZIP_CODINGS and _is_text(body):
            return None
        raise


def _lacks(coding: str, body: bytes) -> bool:
    """Whether a body plainly does not have a coding."""
    if coding in GZIP_CODINGS:
        return bool(body) and not body.startswith(GZIP_MAGIC)
    return _is_text(body) and not _has_zlib_header(body)


def _has_zlib_header(body: bytes) -> bool:
    """Whether a body begins as a zlib stream does, or is empty."""
    return not body or (body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0)


def _is_text(body: bytes) -> bool:
    """Whether a body's first bytes are those of a text, as no compressed body's are.

    UTF-16 without a mark has a zero in every other byte, as long as its text is ASCII, which markup is.
    """
    start = body[:_SNIFFED_BYTES]
    if start.startswith(_WIDE_MARKS) or not _BINARY.search(start):
        return True
    even, odd = start[:_WIDE_BYTES:2], start[1:_WIDE_BYTES:2]
    return len(start) >= _WIDE_BYTES and ((all(even) and not any(odd)) or (all(odd) and not any(even)))

"""The HTTP response in a record of a web archive, as its writer meant it: bodies are stored with or without their codings."""

import re
import zlib
from dataclasses import replace

from pipeline.pages.decoding import DecodingError, UnknownCodingError, codings, decode
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.warc_record import HEAD_END, MAX_RECORD_BYTES, WarcError, WarcRecord, head_fields

GZIP_CODINGS = frozenset({"gzip", "x-gzip"})
_SNIFFED_BYTES = 1445
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""Binary data bytes of the WHATWG MIME Sniffing standard, section 3."""
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WIDE_BYTES = 16
_CHUNK_HEAD = re.compile(rb"[ \t]*([0-9a-fA-F]{1,40})[ \t]*(?:;[^\n]*)?\r?\n")
_LINE_END = re.compile(rb"\r?\n")


def http_status(record: WarcRecord) -> int:
    """Status code of the HTTP response in a record; 200 for a resource, which has no head. Raises WarcError."""
    if record.kind == "resource":
        return 200
    status = _status_line(record.block[:1024].partition(b"\n")[0], record)[0]
    return status if status >= 200 else _status_line(_final_head(record)[0].partition(b"\n")[0], record)[0]


def http_response(record: WarcRecord) -> HttpResponse:
    """The HTTP response in a record, its body decoded. Raises WarcError, and the errors of `decoding.decode`.

    A coding that the body does not have is no error: Common Crawl stored bodies decoded under their old headers until 2018. Its
    header is renamed X-Crawl-Content-Encoding.
    """
    if record.kind == "resource":
        fields = (("Content-Type", record.headers.get("content-type", "")),)
        return HttpResponse(record.url, 200, "OK", fields, record.block, ())
    head, body = _final_head(record)
    status, phrase = _status_line(head.partition(b"\n")[0], record)
    response = HttpResponse(record.url, status, phrase, tuple(head_fields(head, "latin-1")), b"", ())
    transfer = [coding for coding in codings(response.header("transfer-encoding")) if coding != "identity"]
    if "chunked" in transfer:
        body = _dechunk(body)
        body, _ = _undo([coding for coding in transfer if coding != "chunked"], body)
    applied = codings(response.header("content-encoding"))
    decoded, undone = _undo(applied, body)
    if undone:
        return replace(response, body=decoded, coded=body)
    if applied:
        response = replace(response, headers=tuple(_without_coding(response.headers)))
    return replace(response, body=body)


def stored_head(record: WarcRecord) -> HttpResponse | None:
    """The response in a record without its body, as a revisit record holds it; None where there is none."""
    head = HEAD_END.split(record.block, maxsplit=1)[0].rstrip(b"\r\n")
    try:
        status, phrase = _status_line(head.partition(b"\n")[0], record)
    except WarcError:
        return None
    return HttpResponse(record.url, status, phrase, tuple(head_fields(head, "latin-1")), b"", ())


def _final_head(record: WarcRecord) -> tuple[bytes, bytes]:
    """Head and body of the response; informational answers (1xx) before it are skipped."""
    rest = record.block
    while True:
        end = HEAD_END.search(rest)
        if not end:
            raise WarcError(f"record at byte {record.offset}: no end of the HTTP headers")
        head, rest = rest[: end.start()], rest[end.end() :]
        if not re.match(rb"HTTP/\S+[ \t]+1\d\d\b", head) or not rest.startswith(b"HTTP/"):
            return head, rest


def _status_line(line: bytes, record: WarcRecord) -> tuple[int, str]:
    parts = line.decode("latin-1").split(None, 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/") or not re.fullmatch("[0-9]{3}", parts[1]):
        raise WarcError(f"record at byte {record.offset}: no HTTP response")
    return int(parts[1]), parts[2].strip() if len(parts) > 2 else ""


def _without_coding(fields: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [(f"X-Crawl-{name}" if name.lower() == "content-encoding" else name, value) for name, value in fields]


def _undo(applied: list[str], body: bytes) -> tuple[bytes, bool]:
    """The body without those of its codings that are there, and whether one was."""
    undone = False
    for coding in reversed(applied):
        content = _decoded(coding, body) if body else None
        if content is not None:
            body, undone = content, True
    return body, undone


def _decoded(coding: str, body: bytes) -> bytes | None:
    """The body without one coding; None where it plainly does not have it. Raises the errors of `decoding.decode`."""
    if coding in GZIP_CODINGS and not body.startswith(b"\x1f\x8b"):
        return None
    is_text = coding not in GZIP_CODINGS and _is_text(body)
    if is_text and not _has_zlib_header(body):
        return None
    try:
        return b"".join(decode([body], coding, MAX_RECORD_BYTES))
    except (DecodingError, UnknownCodingError):
        if is_text:
            return None
        raise


def _has_zlib_header(body: bytes) -> bool:
    return body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0


def _is_text(body: bytes) -> bool:
    """Whether a body's first bytes are those of a text, as no compressed body's are.

    UTF-16 without a mark has a zero in every other byte, as long as its text is ASCII, which markup is.
    """
    start = body[:_SNIFFED_BYTES]
    if start.startswith(_WIDE_MARKS) or not _BINARY.search(start):
        return True
    even, odd = start[:_WIDE_BYTES:2], start[1:_WIDE_BYTES:2]
    return (all(even) and not any(odd)) or (all(odd) and not any(even))


def _dechunk(body: bytes) -> bytes:
    """The body of a chunked message (RFC 9112, 7.1), whose lines may end in LF.

    A body that is not chunked despite its header, as wget writes it, is returned unchanged.
    """
    parts: list[bytes] = []
    at = 0
    while True:
        head = _CHUNK_HEAD.match(body, at)
        if not head:
            if at == 0:
                return body
            raise WarcError("damaged chunked body")
        size = int(head[1], 16)
        if size == 0:
            return b"".join(parts)
        end = head.end() + size
        if end > len(body):
            raise WarcError("chunked body ends early")
        parts.append(body[head.end() : end])
        line_end = _LINE_END.match(body, end)
        if not line_end:
            raise WarcError("damaged chunked body" if end < len(body) else "chunked body ends early")
        at = line_end.end()

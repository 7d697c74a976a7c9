"""Parser of HTTP response heads, live and stored, lenient as browsers are and strict where a field describes the body.

http.client's e-mail parser takes as long as everything else in a small request, and splits lines at characters that end no line.
"""

import http.client
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_LINES = 1000
MAX_LINE_BYTES = 1 << 16
MAX_HEAD_BYTES = 1 << 18
MAX_INTERIM_RESPONSES = 32
"""1xx responses read past before the final one."""
_STATUS_LINE = re.compile(r"(HTTP/[0-9.]{1,8})[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?", re.DOTALL)
_FIELD = re.compile(r"([^:]*):(.*)", re.DOTALL)
NAME = re.compile(r"[!-9;-~]+")
"""Visible ASCII: more than RFC 9110 allows in a name."""
_FRAMING = frozenset({"contentlength", "transferencoding", "contentencoding"})
_NUL_OR_CR = re.compile(r"[\0\r]")
_LENGTH = re.compile(r"[0-9]{1,18}")
_BLANKS = " \t"


class HeadError(ValueError):
    """Stored data does not begin with the head of an HTTP response."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Version, status, phrase and fields of a response, as Latin-1 text.

    Values have no blanks around them and no NUL, CR or LF in them; a folded value is one line.
    """

    version: str
    status: int
    phrase: str
    fields: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """All values of a field."""
        name = name.lower()
        return [value for key, value in self.fields if key.lower() == name]

    def framing(self) -> tuple[bool, int | None]:
        """Whether the body is chunked, and its length where a valid one is declared (RFC 9112 section 6.3).

        Raises HTTPException where lengths differ or are not numbers: such a body has no end to rely on.
        """
        codings = [coding.strip(_BLANKS).lower() for value in self.values("transfer-encoding") for coding in value.split(",")]
        if "chunked" in codings:
            return True, None
        return False, content_length(self.values("content-length"))


def content_length(values: Iterable[str]) -> int | None:
    """The length that Content-Length fields declare; repeated or listed, they must be equal (RFC 9110 section 8.6).

    >>> content_length(["42, 42", "42 "])
    42

    Raises HTTPException.
    """
    lengths = {part.strip(_BLANKS) for value in values for part in value.split(",")}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise http.client.HTTPException(f"Content-Length: {', '.join(values)[:40]}")
    return int(length)


def split_head(data: bytes) -> tuple[ResponseHead, bytes]:
    """The head of a stored response, and the bytes after it. Interim responses are skipped. Raises HeadError."""
    stream = io.BytesIO(data)
    try:
        head = read_head(stream)
    except (http.client.HTTPException, OSError) as error:
        raise HeadError(str(error) or "no HTTP response") from error
    return head, data[stream.tell() :]


def read_head(stream: Any) -> ResponseHead:
    """The head of the final response in a stream, which is left at the first byte of the body.

    1xx responses before it are skipped (RFC 9110 section 15.2), but not 101: what follows it is not HTTP. Raises
    RemoteDisconnected where the stream is empty, IncompleteRead where it ends inside a head, HTTPException.
    """
    for _ in range(MAX_INTERIM_RESPONSES + 1):
        version, status, phrase = _status_line(stream)
        fields = _fields(stream)
        if status >= 200 or status == http.client.SWITCHING_PROTOCOLS:
            return ResponseHead(version, status, phrase, fields)
    raise http.client.HTTPException(f"more than {MAX_INTERIM_RESPONSES} interim responses")


def _status_line(stream: Any) -> tuple[str, int, str]:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if not line:
        raise http.client.RemoteDisconnected("connection closed without a response")
    if len(line) > MAX_LINE_BYTES:
        raise http.client.LineTooLong("status line")
    if not line.endswith(b"\n") and line.startswith(b"HTTP/"):
        raise http.client.IncompleteRead(line)
    match = _STATUS_LINE.fullmatch(_text(line))
    if not match:
        raise http.client.BadStatusLine(repr(line[:80]))
    return match[1], int(match[2]), (match[3] or "").strip(_BLANKS)


def _fields(stream: Any) -> tuple[tuple[str, str], ...]:
    """The fields up to the empty line. A line ends at LF, with or without CR before it."""
    fields: list[tuple[str, str]] = []
    lines = size = 0
    while (line := stream.readline(MAX_LINE_BYTES + 1)) not in (b"\r\n", b"\n"):
        lines += 1
        size += len(line)
        if lines > MAX_LINES or len(line) > MAX_LINE_BYTES or size > MAX_HEAD_BYTES:
            raise http.client.HTTPException(
                f"more than {MAX_LINES} lines or {MAX_HEAD_BYTES} bytes of headers, or a line of more than {MAX_LINE_BYTES}"
            )
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(line)
        text = _text(line)
        if text[:1] in (" ", "\t"):  # a folded line continues the one before (RFC 9112 section 5.2)
            if not fields:
                raise http.client.HTTPException("a blank before the first header")
            name, value = fields.pop()
            fields.append((name, f"{value} {text.strip(_BLANKS)}".strip(_BLANKS)))
        elif match := _FIELD.fullmatch(text):
            fields.append((match[1].rstrip(_BLANKS), match[2].strip(_BLANKS)))
        else:
            raise http.client.HTTPException("a header line without a colon")  # a lost field might have described the body
    return tuple(field for field in fields if _is_valid(field[0]))


def _text(line: bytes) -> str:
    """A line without its end. A CR that ends no line counts as a blank (RFC 9112 section 2.2), as NUL does."""
    text = line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")
    return _NUL_OR_CR.sub(" ", text.decode("latin-1"))


def _is_valid(name: str) -> bool:
    """Whether a name is visible ASCII. A field with another name is ignored, as by browsers.

    Raises HTTPException where the field might have described the body, or is a line of prose.
    """
    if NAME.fullmatch(name):
        return True
    if not name or " " in name or "\t" in name or re.sub("[^a-z]", "", name.lower()) in _FRAMING:
        raise http.client.HTTPException("a header without a valid name")
    return False


class HeaderFields(http.client.HTTPMessage):
    """A response's header fields as sent, in their order."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self._fields = list(fields)

    def get(self, name: str, failobj: Any = None) -> Any:
        """All values of a field, joined by commas."""
        name = name.lower()
        values = [value for key, value in self._fields if key.lower() == name]
        return ", ".join(values) if values else failobj

    def items(self) -> list[tuple[str, str]]:
        """All fields."""
        return self._fields


class HeaderParsingResponse(http.client.HTTPResponse):
    """http.client's response with its head read by `read_head`."""

    def begin(self) -> None:
        """Read status and headers; set the body's length and whether the connection closes (RFC 9112 sections 6.3 and 9.3)."""
        head = read_head(self.fp)
        if not head.version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise http.client.UnknownProtocol(head.version)
        self.code = self.status = head.status
        self.reason = head.phrase
        self.version = 10 if head.version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = HeaderFields(head.fields)
        self.chunk_left = None
        if head.status < 200 or head.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED):
            self.chunked, self.length = False, 0
        else:
            self.chunked, self.length = head.framing()
        self.will_close = self._check_close() or (not self.chunked and self.length is None)  # type: ignore[attr-defined]

"""Parser of HTTP response heads, live and stored, lenient as browsers are and strict where a field describes the body.

It needs no HTTP client. http.client's e-mail parser takes as long as everything else in a small request, and splits lines at
characters that end no line.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

MAX_LINES = 1000
MAX_LINE_BYTES = 1 << 16
MAX_HEAD_BYTES = 1 << 18
MAX_INTERIM_RESPONSES = 32
"""1xx responses read past before the final one."""
MAX_EMPTY_LINES = 2
"""Empty lines read past before a status line, as browsers do: some servers end a body with one too many."""
SWITCHING_PROTOCOLS = 101
BODILESS_STATUSES = frozenset({204, 304})
"""Final statuses whose responses have no body, whatever their fields say (RFC 9112 section 6.3)."""
LINE_ENDS = (b"\r\n", b"\n")
_STATUS_LINE = re.compile(r"(HTTP/[0-9.]{1,8})[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?", re.DOTALL | re.IGNORECASE)
NAME = re.compile(r"[!-9;-~]+")
"""Visible ASCII: more than RFC 9110 allows in a name."""
_PLAIN_HEAD = re.compile(
    rb"(HTTP/1\.[01]) ([2-5][0-9]{2})(?: ([^\r\n\0]*))?\r\n((?:[!-9;-~]+:[^\r\n\0]*\r\n){0,1000}+)\r\n", re.IGNORECASE
)
"""The head of a final response in which every line is a field with a name: one search in place of one per line."""
_FRAMING = frozenset({"contentlength", "transferencoding", "contentencoding"})
_LENGTH = re.compile(r"[0-9]{1,18}")
_BLANKS = " \t"


class HeadError(ValueError):
    """Data does not begin with the head of an HTTP response, or the head does not tell where the body ends."""


class NoHeadError(HeadError):
    """There is no data."""


class CutHeadError(HeadError):
    """The data ends inside a head."""


class ByteStream(Protocol):
    """A file or a connection to read from."""

    def readline(self, size: int, /) -> bytes:
        """The next line with its end, or its first `size` bytes."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer at the end of the stream alone."""


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

    def value(self, name: str) -> str:
        """All values of a field, joined by commas; empty where the field is absent."""
        return ", ".join(self.values(name))

    def framing(self) -> tuple[bool, int | None]:
        """Whether the body is chunked, and its length where the head gives one (RFC 9112 section 6.3).

        Raises HeadError where the status is not that of a final response (200 to 599), and where lengths differ or are not
        numbers: such a body has no end to rely on.
        """
        if not 200 <= self.status <= 599:
            raise HeadError(f"status {self.status}")
        if self.status in BODILESS_STATUSES:
            return False, 0
        codings = [coding for coding in listed(self.values("transfer-encoding")) if coding != "identity"]
        if "chunked" in codings:
            if codings[-1] != "chunked":
                raise HeadError(f"Transfer-Encoding: {', '.join(codings)[:40]}: the last coding is not chunked")
            return True, None
        return False, None if codings else content_length(self.values("content-length"))


def listed(values: Iterable[str]) -> list[str]:
    """The members of a list that a field's values give, in lower case and without empty ones.

    >>> listed(["GZIP ,", "chunked"])
    ['gzip', 'chunked']
    """
    members = (member.strip(_BLANKS).lower() for value in values for member in value.split(","))
    return [member for member in members if member]


def content_length(values: Iterable[str]) -> int | None:
    """The length that Content-Length fields declare; repeated or listed, they must be equal (RFC 9110 section 8.6).

    >>> content_length(["42, 42", "42 "])
    42

    Raises HeadError.
    """
    lengths = {part.strip(_BLANKS) for value in values for part in value.split(",")}
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise HeadError(f"Content-Length: {', '.join(values)[:40]}")
    return int(length)


def split_head(data: bytes) -> tuple[ResponseHead, bytes]:
    """The head of a stored response, and the bytes after it. Interim responses are skipped. Raises HeadError."""
    plain = _PLAIN_HEAD.match(data, 0, MAX_LINE_BYTES)
    if plain:
        return _plain_head(*plain.groups()), data[plain.end() :]
    stream = io.BytesIO(data)
    head = read_head(stream)
    return head, data[stream.tell() :]


def _plain_head(version: bytes, status: bytes, phrase: bytes | None, lines: bytes) -> ResponseHead:
    """What `read_head` gives for the groups of _PLAIN_HEAD."""
    fields = (line.partition(":") for line in lines.decode("latin-1").split("\r\n")[:-1])
    return ResponseHead(
        version.decode().upper(),
        int(status),
        (phrase or b"").decode("latin-1").strip(_BLANKS),
        tuple((name, value.strip(_BLANKS)) for name, _, value in fields),
    )


def read_head(stream: ByteStream) -> ResponseHead:
    """The head of the final response in a stream, which is left at the first byte of the body.

    1xx responses before it are skipped (RFC 9110 section 15.2), but not 101: what follows it is not HTTP. Raises HeadError.
    """
    for _ in range(MAX_INTERIM_RESPONSES + 1):
        version, status, phrase = read_status_line(stream)
        fields = _fields(stream)
        if status >= 200 or status == SWITCHING_PROTOCOLS:
            return ResponseHead(version, status, phrase, fields)
    raise HeadError(f"more than {MAX_INTERIM_RESPONSES} interim responses")


def read_status_line(stream: ByteStream) -> tuple[str, int, str]:
    """Version, status and phrase of the response, final or not, that begins in a stream. Raises HeadError."""
    for _ in range(MAX_EMPTY_LINES + 1):
        line = stream.readline(MAX_LINE_BYTES + 1)
        if line not in LINE_ENDS:
            break
    if not line:
        raise NoHeadError("connection closed without a response")
    if len(line) > MAX_LINE_BYTES:
        raise HeadError(f"a status line of more than {MAX_LINE_BYTES} bytes")
    if not line.endswith(b"\n") and line[:5].upper() == b"HTTP/":
        raise CutHeadError("the data ends inside the status line")
    match = _STATUS_LINE.fullmatch(_text(line))
    if not match:
        raise HeadError(f"no HTTP response: {line[:80]!r}")
    return match[1].upper(), int(match[2]), (match[3] or "").strip(_BLANKS)


def _fields(stream: ByteStream) -> tuple[tuple[str, str], ...]:
    """The fields up to the empty line. A line ends at LF, with or without CR before it."""
    fields: list[tuple[str, str]] = []
    lines = size = 0
    while (line := stream.readline(MAX_LINE_BYTES + 1)) not in LINE_ENDS:
        lines += 1
        size += len(line)
        if lines > MAX_LINES or len(line) > MAX_LINE_BYTES or size > MAX_HEAD_BYTES:
            raise HeadError(
                f"more than {MAX_LINES} lines or {MAX_HEAD_BYTES} bytes of headers, or a line of more than {MAX_LINE_BYTES}"
            )
        if not line.endswith(b"\n"):
            raise CutHeadError("the data ends inside the headers")
        text = _text(line)
        if text[:1] in (" ", "\t"):  # a folded line continues the one before (RFC 9112 section 5.2)
            if not fields:
                raise HeadError("a blank before the first header")
            name, value = fields.pop()
            fields.append((name, f"{value} {text.strip(_BLANKS)}".strip(_BLANKS)))
        else:
            name, colon, value = text.partition(":")
            if not colon:
                raise HeadError("a header line without a colon")  # a lost field might have described the body
            fields.append((name.rstrip(_BLANKS), value.strip(_BLANKS)))
    return tuple(field for field in fields if _is_valid(field[0]))


def _text(line: bytes) -> str:
    """A line without its end. A CR that ends no line counts as a blank (RFC 9112 section 2.2), as NUL does."""
    text = line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")
    return text.decode("latin-1").replace("\0", " ").replace("\r", " ")


def _is_valid(name: str) -> bool:
    """Whether a name is visible ASCII. A field with another name is ignored, as by browsers.

    Raises HeadError where the field might have described the body, or is a line of prose.
    """
    if NAME.fullmatch(name):
        return True
    if not name or " " in name or "\t" in name or re.sub("[^a-z]", "", name.lower()) in _FRAMING:
        raise HeadError("a header without a valid name")
    return False

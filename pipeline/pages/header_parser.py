"""Parser of HTTP response headers. http.client's e-mail parser takes as long as everything else in a small request."""

import http.client
import re
from typing import Any, Self

MAX_LINES = 100
MAX_LINE_BYTES = 1 << 16
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)


class HeaderFields(http.client.HTTPMessage):
    """A response's header fields as sent, in their order."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        super().__init__()
        self._fields = fields

    def get(self, name: str, failobj: Any = None) -> Any:
        """The first value of a field."""
        name = name.lower()
        return next((value for key, value in self._fields if key.lower() == name), failobj)

    def items(self) -> list[tuple[str, str]]:
        """All fields."""
        return self._fields

    @classmethod
    def read(cls, stream: Any) -> Self:
        """Read the fields up to the empty line.

        Raises HTTPException at a line that is not a field: a lost field might have described the body. Raises IncompleteRead
        where the stream ends before the empty line: such a response would pass for one without a body.
        """
        fields: list[tuple[str, str]] = []
        lines = 0
        while (line := stream.readline(MAX_LINE_BYTES + 1)) not in (b"\r\n", b"\n"):
            if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                raise http.client.IncompleteRead(line)
            lines += 1
            if lines > MAX_LINES or len(line) > MAX_LINE_BYTES:
                raise http.client.HTTPException(
                    f"more than {MAX_LINES} lines of headers, or one of more than {MAX_LINE_BYTES} bytes"
                )
            text = line.decode("latin-1").rstrip("\r\n")
            if match := _FIELD.fullmatch(text):
                fields.append((match[1], match[2]))
            elif text[:1] in (" ", "\t") and fields:  # a folded line continues the one before
                name, value = fields.pop()
                fields.append((name, f"{value}\r\n{text}"))
            else:
                raise http.client.HTTPException("a header line without a field")
        return cls(fields)


class HeaderParsingResponse(http.client.HTTPResponse):
    """http.client's response with its headers read by `HeaderFields`."""

    def begin(self) -> None:
        """Read status and headers; set the body's length and whether the connection closes (RFC 9112 sections 6.3 and 9.3)."""
        status: int = http.client.CONTINUE
        while status == http.client.CONTINUE:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            if not version.startswith(("HTTP/1.", "HTTP/0.9")):
                raise http.client.UnknownProtocol(version)
            fields = HeaderFields.read(self.fp)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = fields
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = self._body_bytes()
        self.will_close = self._check_close() or (not self.chunked and self.length is None)  # type: ignore[attr-defined]

    def _body_bytes(self) -> int | None:
        if self.status < 200 or self.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED):
            return 0
        length = self.headers.get("content-length", "")
        return int(length) if length.isdecimal() and len(length) < 19 and not self.chunked else None

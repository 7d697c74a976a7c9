"""Heads of HTTP responses, read without http.client's e-mail parser, which takes as long as all else in a small request."""

import http.client
import re
from typing import Any, Self

MAX_LINES = 100
MAX_LINE_BYTES = 1 << 16
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)", re.DOTALL)


class Head(http.client.HTTPMessage):
    """A response's header fields as they came, in their order."""

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
        """The fields up to the empty line.

        Raises HTTPException at a line that is none, since what is lost may be what says how to read on, and IncompleteRead where the
        stream ends before the empty line: an answer cut there would pass for one without a body.
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
            if found := _FIELD.fullmatch(text):
                fields.append((found[1], found[2]))
            elif text[:1] in (" ", "\t") and fields:  # the line before goes on
                name, value = fields.pop()
                fields.append((name, f"{value}\r\n{text}"))
            else:
                raise http.client.HTTPException("a header line that is none")
        return cls(fields)


class HeadedResponse(http.client.HTTPResponse):
    """http.client's response with our reading of its head."""

    def begin(self) -> None:
        """Read the head, and what it says of the body's length and of the connection (RFC 9112 sections 6.3 and 9.3)."""
        status: int = http.client.CONTINUE
        while status == http.client.CONTINUE:
            version, status, reason = self._read_status()  # type: ignore[attr-defined]
            if not version.startswith(("HTTP/1.", "HTTP/0.9")):
                raise http.client.UnknownProtocol(version)
            head = Head.read(self.fp)
        self.code = self.status = status
        self.reason = reason.strip()
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.headers = self.msg = head
        self.chunked = head.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = self._body_bytes()
        self.will_close = self._check_close() or (not self.chunked and self.length is None)  # type: ignore[attr-defined]

    def _body_bytes(self) -> int | None:
        if self.status < 200 or self.status in (http.client.NO_CONTENT, http.client.NOT_MODIFIED):
            return 0
        said = self.headers.get("content-length", "")
        return int(said) if said.isdecimal() and len(said) < 19 and not self.chunked else None

"""The vectors of standards bodies for heads, types and codings, in a folder beside the project.

Each deliberate difference is a rule here (and in docs/http.md); a vector that no rule names must agree.
"""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.pages.decoding import DecodingError, decode
from pipeline.pages.header_parser import HeadError, split_head
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.media import declared_charset, media_type

VECTORS = Path(os.environ.get("WEBTEXT_STANDARDS", "../shared/data/standards"))
BODY = b"x" * 42


def vectors(name: str, folder: str = "http_heads") -> list[Any]:
    path = VECTORS / folder / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no vectors in {VECTORS}")
    found: list[Any] = json.loads(path.read_text("utf-8"))["vectors"]
    return found


def test_content_types() -> None:
    for values, charset, essence in vectors("content_types"):
        fields = tuple(("Content-Type", value) for value in values)
        content_type = HttpResponse("http://a.example/", 200, "OK", fields, b"words", ()).header("content-type")
        assert (media_type(content_type, b"words"), declared_charset(content_type)) == (essence, charset and charset.lower()), (
            values
        )


def test_content_lengths() -> None:
    """A browser ignores a length that is not a number and reads on; a crawler refuses it (deliberate)."""
    for lines, size in vectors("content_lengths"):
        head, body = split_head(f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n".encode("latin-1") + BODY)
        try:
            _, length = head.framing()
        except HeadError:
            numbers = [value.isdigit() for value in lines.removeprefix("Content-Length: ").split(",")]
            assert size is None or not all(numbers), lines
        else:
            assert len(body[:length]) == size, lines


def test_status_codes() -> None:
    """A status below 100 is refused (deliberate)."""
    for line, status in vectors("status_codes"):
        try:
            assert split_head(f"HTTP/1.1 {line}\r\n\r\n".encode("latin-1"))[0].status == status
        except HeadError:
            assert status is None or status < 100, line


def test_media_types() -> None:
    """Controls around a type are blanks (deliberate): the standard finds no type."""
    for value, parsed, _, _ in vectors("mime_types", "mime_types"):
        expected = "application/octet-stream" if parsed is None else parsed.partition(";")[0]
        if not re.search(r"^[\x0b\x0c]|[\x0b\x0c]$", value):
            assert media_type(value, b"") == expected, value


def test_charsets() -> None:
    """Blanks, quotes and parentheses around a charset's name are none of it (deliberate): the standard finds no charset."""
    for value, _, encoding, _ in vectors("mime_types", "mime_types"):
        ours = declared_charset(value)
        if encoding is not None and value != 'text/html;charset= "\x7f;charset=GBK':
            assert ours == encoding.lower(), value
        elif encoding is None and ours is not None:
            assert re.search(r"(?i)charset\W*=\W*(;charset=)?gbk\W*$", value), value


def test_sniffed_types() -> None:
    """The first bytes tell HTML, PDF and XML from other data.

    Deliberate: text without a declared type is no page; a tag may end in any way, and with the data; other data has no finer type,
    or the type that IANA registered.
    """
    finer = re.compile(r"(image|audio|video|font)/.*|application/(x-gzip|x-rar-compressed)")
    for what, content_type, data, expected in vectors("mime_sniffing", "mime_sniffing"):
        body = bytes.fromhex(data)
        ours = media_type(content_type, body)
        if expected == "text/plain":
            is_tag = what.startswith("html signature") and what.endswith("end ''")
            assert ours == ("text/html" if is_tag else "application/octet-stream"), what
        else:
            assert ours == expected or (finer.fullmatch(expected) and ours.startswith("application/")), what


def test_gzip_streams() -> None:
    for what, coded, content in vectors("gzip", "gzip"):
        stream = decode([base64.b64decode(coded)], "gzip", 1 << 20)
        if content is None:
            with pytest.raises(DecodingError):
                b"".join(stream)
        else:
            assert b"".join(stream) == base64.b64decode(content), what

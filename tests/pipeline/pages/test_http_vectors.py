"""The web platform tests' vectors of response heads, in a folder beside the project."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.pages.header_parser import HeadError, split_head
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.media import declared_charset, media_type

VECTORS = Path(os.environ.get("WEBTEXT_STANDARDS", "../shared/data/standards")) / "http_heads"
BODY = b"x" * 42


def vectors(name: str) -> list[Any]:
    path = VECTORS / f"{name}.json"
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

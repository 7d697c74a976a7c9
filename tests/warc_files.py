"""A small WARC file of the stage's own records, for tests of its reader and writer."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.warc_writer import exchange_members, info_member, metadata_member

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BODY = b"<!doctype html><p>Hello, h\xc3\xa9!</p>" * 50
RESPONSE = HttpResponse(
    "https://example.com/a?api_key=hush&page=2",
    200,
    "OK",
    (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Encoding", "gzip"),
        ("Content-Length", "7777"),
        ("Transfer-Encoding", "chunked"),
        ("Set-Cookie", "session=hush"),
        ("WWW-Authenticate", "Basic hush"),
        ("X-Folded", "a\r\n b"),
        ("X-Name", "caf\xe9"),
    ),
    BODY,
    (("User-Agent", "webtext/1"), ("Authorization", "Basic hush"), ("Cookie", "a=hush")),
    gzip.compress(BODY, mtime=0),
)


def write_warc(path: Path, exchanges: int = 3) -> list[tuple[int, int]]:
    """Write a WARC file of equal exchanges; (offset, length) of the responses."""
    data = info_member(path.name, NOON, {"software": "webtext"})
    places = []
    for _ in range(exchanges):
        exchange = exchange_members(RESPONSE, NOON)
        places.append((len(data), exchange.response_length))
        data += exchange.members
        data += metadata_member(RESPONSE.url, NOON, exchange.response_id, [("reddit-submission", "abc python 7")])
    path.write_bytes(data)
    return places

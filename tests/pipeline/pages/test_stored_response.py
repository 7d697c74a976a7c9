import gzip
import zlib

import pytest

from pipeline.pages.decoding import codings
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_record import TruncatedRecordError, WarcError, WarcRecord, parse_date

BODY = b"<!doctype html><title>Words</title><p>" + b"Words of a page. " * 40


def read(block: bytes) -> HttpResponse:
    return http_response(WarcRecord(0, len(block), {"warc-type": "response"}, block))


def stored(body: bytes, *lines: str, end: str = "\r\n") -> bytes:
    return end.join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate", "br", "zstd", "none", "utf-8", "gzip, gzip", "identity"])
def test_body_stored_without_its_declared_coding_is_the_page(coding: str) -> None:
    for body in (BODY, b"x^2 + y^2", "h\u00e9".encode("utf-16"), "<p>words".encode("utf-16-le"), "<p>words".encode("utf-16-be")):
        response = read(stored(body, f"Content-Encoding: {coding}", "Transfer-Encoding: chunked"))
        assert (response.body, response.coded) == (body, None)
        assert [coding for coding in codings(response.header("content-encoding")) if coding != "identity"] == []


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(b"hi")),
        ("deflate", zlib.compress(BODY)[2:-4]),
        ("gzip, deflate", zlib.compress(gzip.compress(BODY, mtime=0))),
    ],
)
def test_declared_coding_that_is_there_is_undone(coding: str, coded: bytes) -> None:
    response = read(stored(coded, f"Content-Encoding: {coding}"))
    assert response.body in (BODY, b"hi")
    assert response.payload == coded


@pytest.mark.parametrize(
    ("coding", "body"), [("gzip", gzip.compress(BODY, mtime=0)[:-9]), ("br", bytes(range(200))), ("deflate", bytes(99))]
)
def test_damaged_or_unknown_coding_is_an_error(coding: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(stored(body, f"Content-Encoding: {coding}"))


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("lines", [(), ("Content-Encoding: gzip",), ("X-Crawl-Content-Encoding: br",), ("Content-Length: 9",)])
def test_some_statuses_have_no_body(status: str, lines: tuple[str, ...]) -> None:
    response = read(stored(BODY, *lines).replace(b"200 OK", status.encode()))
    assert (response.body, response.payload) == (b"", b"")


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Content-Type: text/html", "Content-Encoding: none"),
        ("Content-Encoding: identity", "X-A: b"),
        ("Transfer-Encoding: identity",),
    ],
)
def test_stored_body_is_whole_or_truncated(lines: tuple[str, ...]) -> None:
    """An edited body is longer than the length of its old head: the record says what was stored. A shorter one was cut."""
    for length in (0, 1, len(BODY) - 9, len(BODY)):
        assert read(stored(BODY, *lines, f"Content-Length: {length}")).body == BODY
    with pytest.raises(TruncatedRecordError, match="10 of"):
        read(stored(BODY, *lines, f"Content-Length: {len(BODY) + 10}"))


@pytest.mark.parametrize(
    "line",
    [
        "Content-Encoding: gzip",
        "Content-Encoding: br",
        "content-encoding: x-gzip",
        "X-Crawl-Content-Encoding: gzip",
        "x-orig-content-encoding: br",
        "X-Archive-Orig-Content-Encoding: gzip",
        "Transfer-Encoding: chunked",
    ],
)
@pytest.mark.parametrize("length", ["1", "99999", "many", "1, 2"])
def test_length_of_another_form_of_the_body_is_ignored(line: str, length: str) -> None:
    if not length.isdigit() and not line.startswith("Transfer"):
        with pytest.raises(WarcError, match="Content-Length"):
            read(stored(BODY, line, f"Content-Length: {length}"))
        return
    assert read(stored(BODY, line, f"Content-Length: {length}")).body == BODY


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_head_ends_at_its_first_empty_line(end: str) -> None:
    body = b"<p>first</p>\r\n\r\n<pre>a\n\nb</pre>" + BODY
    response = read(stored(body, "Content-Type: text/html", "X-A: b", end=end))
    assert (response.body, response.header("content-type")) == (body, "text/html")


@pytest.mark.parametrize("character", ["\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\xa0", "\x1f", "\x00"])
def test_a_header_line_ends_at_a_line_feed_alone(character: str) -> None:
    value = f"a{character}Content-Encoding: br{character}"
    response = read(stored(BODY, f"X-Name: {value}", "Content-Type : text/html", "X-Fold: a", "  b"))
    shown = value.replace("\0", " ").strip(" ")
    assert response.headers == (("X-Name", shown), ("Content-Type", "text/html"), ("X-Fold", "a b"))
    assert response.body == BODY


def test_informational_answers_before_the_response_are_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3
    assert read(interim + stored(BODY)).body == BODY


CHUNKINGS = {
    "plain": b"%x\r\n%s\r\n0\r\n\r\n",
    "upper case and zeros": b"%08X\r\n%s\r\n0000\r\n\r\n",
    "more zeros than a size has digits": b"00000000000000%x\r\n%s\r\n0\r\n\r\n",
    "extension": b"%x;name=value\r\n%s\r\n0;last\r\n\r\n",
    "quoted extension": b'%x ; a="b;c" ; d\r\n%s\r\n0\r\n\r\n',
    "spaces after the size": b"%x  \t\r\n%s\r\n0\r\n\r\n",
    "spaces before the size": b"  %x\r\n%s\r\n0\r\n\r\n",
    "trailers": b"%x\r\n%s\r\n0\r\nX-Check: 1\r\nX-More: 2\r\n\r\n",
    "bare line feeds": b"%x\n%s\n0\n\n",
    "no empty line at the end": b"%x\r\n%s\r\n0\r\n",
}


@pytest.mark.parametrize("name", CHUNKINGS)
@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked ", "identity, chunked"])
def test_chunks_in_any_spelling_are_joined(name: str, coding: str) -> None:
    assert read(stored(CHUNKINGS[name] % (len(BODY), BODY), f"Transfer-Encoding: {coding}")).body == BODY


def test_transfer_coding_below_the_chunks_is_undone() -> None:
    packed = gzip.compress(BODY, mtime=0)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    assert read(stored(body, "Transfer-Encoding: gzip, chunked")).body == BODY


@pytest.mark.parametrize("body", [b"5\r\nabc", b"3\r\nabc", b"3\r\nabc\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"3\r\nabc\r\nzz\r\n"])
def test_incomplete_or_damaged_chunks_are_an_error(body: bytes) -> None:
    with pytest.raises(WarcError, match="chunked body"):
        read(stored(body, "Transfer-Encoding: chunked"))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2016", "2016-01-01T00:00:00+00:00"),
        ("2016-05", "2016-05-01T00:00:00+00:00"),
        ("2016-05-02", "2016-05-02T00:00:00+00:00"),
        ("2016-05-02T03:04Z", "2016-05-02T03:04:00+00:00"),
        ("2016-05-02T03:04:05Z", "2016-05-02T03:04:05+00:00"),
        ("2016-05-02t03:04:05z", "2016-05-02T03:04:05+00:00"),
        ("2016-05-02T03:04:05", "2016-05-02T03:04:05+00:00"),
        ("2016-05-02T03:04:05.123456789Z", "2016-05-02T03:04:05.123456+00:00"),
        ("2016-05-02T03:04:05.5Z", "2016-05-02T03:04:05.500000+00:00"),
        ("2016-05-02T03:04:05+02:00", "2016-05-02T01:04:05+00:00"),
        ("20160502030405", "2016-05-02T03:04:05+00:00"),
    ],
)
def test_date_may_be_as_coarse_as_a_year(text: str, instant: str) -> None:
    assert parse_date(text).isoformat() == instant


@pytest.mark.parametrize(
    "text", ["", "16", "2016-13", "2016-05-02T", "May 2016", "0001-01-01T00:00:00+23:00", "2016-05-02T25:00Z"]
)
def test_text_that_is_no_date_is_an_error(text: str) -> None:
    with pytest.raises(WarcError, match="WARC-Date"):
        parse_date(text)

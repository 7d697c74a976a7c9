import http.client
import io
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pages.header_parser import _PLAIN_HEAD as PLAIN_HEAD
from pipeline.pages.header_parser import (
    MAX_INTERIM_RESPONSES,
    MAX_LINE_BYTES,
    MAX_LINES,
    CutHeadError,
    HeadError,
    ResponseHead,
    content_length,
    read_head,
    split_head,
)

NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85"), max_size=30)
OK = b"HTTP/1.1 200 OK\r\n"


def fields_of(data: bytes) -> list[tuple[str, str]]:
    return list(split_head(OK + data)[0].fields)


@given(st.lists(st.tuples(NAMES, VALUES.map(lambda value: value.strip(" \xa0"))), max_size=20))
def test_fields_equal_those_of_the_standard_library(fields: list[tuple[str, str]]) -> None:
    data = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\nbody"
    ours, theirs = io.BytesIO(OK + data), io.BytesIO(data)
    head, message = read_head(ours), http.client.parse_headers(theirs)
    assert list(head.fields) == list(message.items())
    assert ours.read() == theirs.read() == b"body"


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (b"A: b\r\n", "b"),
        (b"A:b\n", "b"),
        (b"A:\t b \t\r\n", "b"),
        (b"A : b\r\n", "b"),
        (b"A\t : b\r\n", "b"),
        (b"A: b\r\n  c\r\n", "b c"),
        (b"A: b\n\tc\n d\n", "b c d"),
        (b"A:\r\n b\r\n", "b"),
        (b"A: b\r\n \r\n", "b"),
        (b"A: b\r\r\n", "b"),
        (b"A: b\rc\r\n", "b c"),
        (b"A: b\0c\r\n", "b c"),
        (b"A: \xd1\x85b\r\n", "\xd1\x85b"),
        (b"A: b\x0bc\x0cd\x1ce\x1df\x1eg\r\n", "b\x0bc\x0cd\x1ce\x1df\x1eg"),
        (b"A: b\xe2\x80\xa8c\r\n", "b\xe2\x80\xa8c"),
        (b"A: b\x85Content-Encoding: br\r\n", "b\x85Content-Encoding: br"),
    ],
)
def test_legal_spellings_of_a_field(lines: bytes, value: str) -> None:
    for end in (b"\r\n", b"\n"):
        head, body = split_head(OK + lines + b"C: d\r\n" + end + b"\r\nbody")
        assert (head.fields, body) == ((("A", value), ("C", "d")), b"\r\nbody")


@pytest.mark.parametrize("line", [b"caf\xe9: z\r\n", b"\xef\xbb\xbfX: z\r\n", b"X\x01: z\r\n", b"\xa0X: z\r\n"])
def test_names_beyond_visible_ascii_are_ignored(line: bytes) -> None:
    assert fields_of(b"A: b\r\n" + line + b"\r\n") == [("A", "b")]


@pytest.mark.parametrize("number", [101, 200, MAX_LINES])
def test_hundreds_of_header_lines_are_read(number: int) -> None:
    assert len(fields_of(b"A: b\r\n" * number + b"\r\n")) == number


@pytest.mark.parametrize(
    "data",
    [
        b"no colon\r\n\r\n",
        b": no name\r\n\r\n",
        b"a broken line: z\r\n\r\n",
        b" folded: first\r\n\r\n",
        b"Content Length: 5\r\n\r\n",
        b"Content-Length\xa0: 5\r\n\r\n",
        b"Transfer Encoding: chunked\r\n\r\n",
        b"A: " + b"x" * MAX_LINE_BYTES + b"\r\n\r\n",
        b"A: b\r\n" * (MAX_LINES + 1) + b"\r\n",
        b"A: b\r\n" + b" c\r\n" * MAX_LINES + b"\r\n",
        (b"A: " + b"x" * 60_000 + b"\r\n") * 5 + b"\r\n",
    ],
)
def test_invalid_header_lines_are_refused(data: bytes) -> None:
    with pytest.raises(HeadError):
        read_head(io.BytesIO(OK + data))


@pytest.mark.parametrize("data", [OK, OK + b"A: b\r\n", OK + b"A: b\r\nC", b"HTTP/1.1 200 O"])
def test_truncated_heads_are_reported(data: bytes) -> None:
    with pytest.raises(CutHeadError):
        split_head(data)


@pytest.mark.parametrize(
    ("line", "status", "phrase"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200, "OK"),
        (b"HTTP/1.1 200\r\n", 200, ""),
        (b"HTTP/1.1 200 \n", 200, ""),
        (b"HTTP/1.0  404 \t Not  Found \r\n", 404, "Not  Found"),
        (b"HTTP/2 301 Caf\xe9\r\n", 301, "Caf\xe9"),
        (b"http/1.1 200 ok\r\n", 200, "ok"),
        (b"HTTP/1.1\t200\tOK\r\n", 200, "OK"),
    ],
)
def test_status_lines(line: bytes, status: int, phrase: str) -> None:
    head, body = split_head(line + b"\r\nx")
    assert (head.status, head.phrase, body) == (status, phrase, b"x")


@pytest.mark.parametrize(
    "line", [b"\r\n", b"SSH-2.0\r\n", b"HTTP/1.1\r\n", b"HTTP/1.1 20\r\n", b"HTTP/1.1 2000 OK\r\n", b"HTTP/1.1 099 OK\r\n", b"x"]
)
def test_invalid_status_lines_are_refused(line: bytes) -> None:
    with pytest.raises(HeadError):
        split_head(line + b"\r\n")


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199"])
def test_interim_responses_are_skipped(interim: bytes) -> None:
    one = b"HTTP/1.1 " + interim + b"\r\nLink: </a.css>\r\n\r\n"
    head, body = split_head(one * 3 + OK + b"A: b\r\n\r\nbody")
    assert (head.status, head.fields, body) == (200, (("A", "b"),), b"body")
    with pytest.raises(HeadError, match="interim"):
        split_head(one * (MAX_INTERIM_RESPONSES + 1) + OK + b"\r\n")


INTERIM = [
    b"HTTP/1.1 100\r\n\r\n",
    b"HTTP/1.1 100 \n\n",
    b"HTTP/1.0 100 Continue\r\n\r\n",
    b"http/1.1 100 continue\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\nContent-Length: 99\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n </b>\r\nLink : </c>\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\nTransfer-Encoding: chunked\n\n",
    b"HTTP/1.1\t104\tUpload\r\n\r\n",
    b"HTTP/1.1 199 Caf\xe9\r\nA:\r\n\r\n",
    b"\r\nHTTP/1.1 100 Continue\r\n\r\n\r\n",
]


@pytest.mark.parametrize("interim", INTERIM)
def test_interim_responses_in_any_spelling_are_skipped(interim: bytes) -> None:
    head, body = split_head(interim + OK + b"A: b\r\n\r\nbody")
    assert (head.status, head.fields, body) == (200, (("A", "b"),), b"body")
    with pytest.raises(CutHeadError):
        split_head(interim + OK[:-1])


@pytest.mark.parametrize("name", [b"A", b"Content-Type", b"P3P", b"x!#$%&'*+-.^_`|~9"])
@pytest.mark.parametrize("before", [b"", b" ", b"\t", b"   ", b" \t ", b"\0"])
@pytest.mark.parametrize("after", [b"", b" ", b"\t\t", b" \r"])
def test_blanks_around_the_colon_are_no_part_of_name_or_value(name: bytes, before: bytes, after: bytes) -> None:
    assert fields_of(name + before + b":" + after + b"b:c" + after + b"\r\n\r\n") == [(name.decode(), "b:c")]


def test_switching_protocols_is_final() -> None:
    assert split_head(b"HTTP/1.1 101 Switching\r\n\r\n" + OK + b"\r\n")[0].status == 101


@pytest.mark.parametrize(
    "values", [["42"], ["42 "], ["\t42"], ["42,42"], ["42, 42", "42"], ["42", "42"], ["42\t,\t42"], ["42", "42", "42"]]
)
def test_equal_content_lengths_are_one(values: list[str]) -> None:
    assert content_length(values) == 42


@pytest.mark.parametrize(
    "values", [["42", "30"], ["42,30"], ["42,"], [",42"], ["42", ""], ["-1"], ["+42"], ["4 2"], ["42s"], ["0x20"], ["1e3"], ["²"]]
)
def test_content_lengths_that_differ_or_are_no_number_are_refused(values: list[str]) -> None:
    with pytest.raises(HeadError):
        content_length(values)


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        (b"", (False, None)),
        (b"Content-Length: 5\r\n", (False, 5)),
        (b"transfer-encoding: Chunked\r\nContent-Length: 5\r\n", (True, None)),
        (b"Transfer-Encoding: identity, chunked \r\n", (True, None)),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", (True, None)),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", (False, 5)),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", (False, None)),
        (b"Transfer-Encoding: gzip,\r\nTransfer-Encoding: chunked,\r\n", (True, None)),
        (b"Transfer-Encoding: chunked, identity\r\nContent-Length: a\r\n", (True, None)),
        (b"Transfer-Encoding:\r\nContent-Length: 5\r\n", (False, 5)),
    ],
)
def test_framing(lines: bytes, framing: tuple[bool, int | None]) -> None:
    assert split_head(OK + lines + b"\r\n")[0].framing() == framing


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("lines", [b"", b"Content-Length: 5\r\n", b"Content-Length: a\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_some_statuses_have_no_body(status: bytes, lines: bytes) -> None:
    assert split_head(b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n")[0].framing() == (False, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    ],
)
def test_body_without_an_end_to_rely_on_is_refused(data: bytes) -> None:
    with pytest.raises(HeadError):
        split_head(data)[0].framing()


@pytest.mark.parametrize("before", [b"\n", b"\r\n", b"\r\n\r\n", b"\n\n"])
def test_empty_lines_before_the_status_line_are_skipped(before: bytes) -> None:
    assert split_head(before + OK + b"\r\nx")[0].status == 200
    with pytest.raises(HeadError):
        split_head(b"\r\n" + before * 2 + OK + b"\r\nx")


def stored_head(draw: random.Random) -> bytes:
    """A head as servers send it, with an unusual spelling here and there."""

    def seldom(usual: str, *others: str) -> str:
        return draw.choice(others) if draw.random() < 0.05 else usual

    lines = [
        seldom("HTTP/1.1", "http/1.0", "HTTP/2", "ICY") + " " + seldom("200", "404", "103", "101", "999", "2000")
        + seldom(" OK", "", " ", "\tOK", " \x85\x0c", "  Not  found ")
    ]  # fmt: skip
    for _ in range(draw.randrange(9)):
        name = seldom(draw.choice(["Content-Type", "ETag", "content-length", "x~1"]), "X y", "", "Na\x80me", " folded")
        value = seldom(draw.choice(["text/html", "", "a: b", "\xe9"]), "a\tb", "x\0y", "a\rb", "\x0bq", "x" * MAX_LINE_BYTES)
        lines.append(name + seldom(": ", ":", " : ", ":\t", "") + value + seldom("", " ", "\t"))
    text = "".join(line + seldom("\r\n", "\n", "\r\r\n") for line in lines)
    return (seldom("", "\r\n") + text + seldom("\r\n", "\n", "") + draw.choice(["body\r\n\r\nmore", ""])).encode("latin-1")


def read_whole(data: bytes) -> tuple[ResponseHead, bytes]:
    """`split_head` by the way of live responses."""
    stream = io.BytesIO(data)
    return read_head(stream), stream.read()


def outcome(read: Callable[[bytes], tuple[ResponseHead, bytes]], data: bytes) -> object:
    try:
        return read(data)
    except HeadError as error:
        return repr(error)


def test_the_short_way_of_plain_heads_gives_what_the_long_one_gives() -> None:
    draw = random.Random(23)
    heads = [stored_head(draw) for _ in range(3_000)]
    for data in heads:
        assert outcome(split_head, data) == outcome(read_whole, data)
    assert 500 < sum(PLAIN_HEAD.match(data, 0, MAX_LINE_BYTES) is not None for data in heads) < 2_500

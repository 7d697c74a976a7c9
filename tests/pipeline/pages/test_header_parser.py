import http.client
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pages.header_parser import MAX_LINE_BYTES, MAX_LINES, HeaderFields

NAMES = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f\x85"), max_size=30)


@given(st.lists(st.tuples(NAMES, VALUES.map(str.strip)), max_size=20))
def test_fields_equal_those_of_the_standard_library(fields: list[tuple[str, str]]) -> None:
    data = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\nbody"
    ours, theirs = io.BytesIO(data), io.BytesIO(data)
    fields_read, message = HeaderFields.read(ours), http.client.parse_headers(theirs)
    assert fields_read.items() == list(message.items())
    assert ours.read() == theirs.read() == b"body"
    assert all(fields_read.get(name.swapcase()) == message.get(name) for name, _ in fields)


def test_folded_lines_are_one_field() -> None:
    assert HeaderFields.read(io.BytesIO(b"A: b\r\n  c\r\nD:e\n\n")).items() == [("A", "b\r\n  c"), ("D", "e")]


@pytest.mark.parametrize(
    "data",
    [
        b"no colon\r\n\r\n",
        b"Space before : colon\r\n\r\n",
        b": no name\r\n\r\n",
        b" folded: first\r\n\r\n",
        b"A: " + b"x" * MAX_LINE_BYTES + b"\r\n\r\n",
        b"A: b\r\n" * (MAX_LINES + 1) + b"\r\n",
        b"A: b\r\n" + b" c\r\n" * MAX_LINES + b"\r\n",
    ],
)
def test_invalid_header_lines_are_refused(data: bytes) -> None:
    with pytest.raises(http.client.HTTPException):
        HeaderFields.read(io.BytesIO(data))


@pytest.mark.parametrize("data", [b"", b"A: b\r\n", b"A: b\r\nC"])
def test_truncated_headers_are_reported(data: bytes) -> None:
    with pytest.raises(http.client.IncompleteRead):
        HeaderFields.read(io.BytesIO(data))

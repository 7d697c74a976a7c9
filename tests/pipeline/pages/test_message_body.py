import io

import pytest

from pipeline.pages.header_parser import MAX_HEAD_BYTES, MAX_LINE_BYTES, MAX_LINES
from pipeline.pages.message_body import BodyError, CutBodyError, body_pieces, is_chunked

BODY = b"<p>Words\r\nof a\n\npage.</p>" * 5000


def read(data: bytes, *, chunked: bool = True, length: int | None = None) -> tuple[bytes, bytes]:
    """The body, and what the stream holds after it."""
    stream = io.BytesIO(data)
    return b"".join(body_pieces(stream, chunked=chunked, length=length)), stream.read()


@pytest.mark.parametrize(
    "framing",
    [
        b"%x\r\n%s\r\n0\r\n\r\n",
        b"%X\r\n%s\r\n0\r\n\r\n",
        b"000000%x\r\n%s\r\n00000\r\n\r\n",
        b"%x;a\r\n%s\r\n0;b=c\r\n\r\n",
        b'%x ; a = "b;c"\r\n%s\r\n0\r\n\r\n',
        b"%x \t \r\n%s\r\n0  \r\n\r\n",
        b" %x\r\n%s\r\n 0\r\n\r\n",
        b"%x\r\n%s\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
        b"%x\r\n%s\r\n0\r\nX-Sum: 1\n\n",
        b"%x\n%s\n0\n\n",
        b"%x\n%s\r\n0\r\n\n",
        b"%x;\xe9\r\n%s\r\n0\r\n\r\n",
    ],
)
def test_chunks_in_any_spelling_are_joined(framing: bytes) -> None:
    data = framing % (len(BODY), BODY)
    assert is_chunked(data)
    assert read(data + b"next") == (BODY, b"next")


def test_chunks_of_one_byte_are_joined() -> None:
    assert read(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY[:5000]) + b"0\r\n\r\n") == (BODY[:5000], b"")


@pytest.mark.parametrize("end", [b"", b"X-Sum: 1", b"X-Sum: 1\r\n", b"\r", b"\n"])
def test_body_is_complete_with_its_last_chunk(end: bytes) -> None:
    assert read(b"3\r\nabc\r\n0\r\n" + end)[0] == b"abc"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"3",
        b"3\r",
        b"3;x",
        b"3\r\n",
        b"3\r\nab",
        b"3\r\nabc",
        b"3\r\nabc\r",
        b"3\r\nabc\r\n",
        b"3\r\nabc\r\n0",
        b"0",
        b"00\r",
    ],
)
def test_chunks_that_end_early_are_reported(data: bytes) -> None:
    with pytest.raises(CutBodyError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"many\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"0_3\r\nabc\r\n0\r\n\r\n",
        b"3 x\r\nabc\r\n0\r\n\r\n",
        b"3.0\r\nabc\r\n0\r\n\r\n",
        b"\xef\xbc\x93\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\r0\r\n\r\n",
        b"3\r\nabc\r\nzz\r\n",
        b"f" * 41 + b"\r\nabc",
        b"3;" + b"x" * MAX_LINE_BYTES + b"\r\nabc\r\n0\r\n\r\n",
        b"1;%s\r\na\r\n" % (b"x" * 60_000) * (MAX_HEAD_BYTES // 60_000 + 1) + b"0\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * MAX_LINES + b"\r\n",
    ],
)
def test_damaged_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        read(data)
    assert not isinstance(caught.value, CutBodyError)


@pytest.mark.parametrize("length", [0, 1, len(BODY) - 1, len(BODY)])
def test_body_ends_at_its_length(length: int) -> None:
    assert read(BODY, chunked=False, length=length) == (BODY[:length], BODY[length:])


def test_body_shorter_than_its_length_is_reported() -> None:
    with pytest.raises(CutBodyError, match=f"1 of {len(BODY) + 1} bytes"):
        read(BODY, chunked=False, length=len(BODY) + 1)


def test_body_without_a_length_ends_with_the_data() -> None:
    assert read(BODY, chunked=False) == (BODY, b"")


@pytest.mark.parametrize("data", [b"", b"<html>", b"3", b"words\r\n", b"abcdefg\r\n", b"\r\n3\r\n"])
def test_data_without_the_head_of_a_chunk_is_not_chunked(data: bytes) -> None:
    assert not is_chunked(data)

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pages.decoding import DecodingError, TooLargeError, UnknownCodingError
from pipeline.pages.decoding import decode as decode_chunks

DATA = random.Random(1).randbytes(50_000) + b"words " * 20_000


def decode(data: bytes, coding: str, limit: int = 1 << 20, step: int = 1000) -> bytes:
    return b"".join(decode_chunks((data[at : at + step] for at in range(0, len(data), step)), coding, limit))


def bare(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


CODED = {
    "": DATA,
    "identity": DATA,
    "gzip": gzip.compress(DATA, mtime=0),
    "X-GZIP": gzip.compress(DATA, mtime=0),
    "deflate": zlib.compress(DATA),
    " Deflate ": bare(DATA),
    "deflate, gzip": gzip.compress(zlib.compress(DATA)),
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("step", [1, 977, 1 << 20])
def test_codings_are_decoded_for_every_chunk_size(coding: str, step: int) -> None:
    assert decode(CODED[coding], coding, step=step) == DATA


@pytest.mark.parametrize("coding", [c for c in CODED if c.strip() and c != "identity"])
def test_truncated_streams_are_refused(coding: str) -> None:
    data = CODED[coding]
    for cut in random.Random(2).sample(range(1, len(data)), 60):
        with pytest.raises(DecodingError):
            decode(data[:cut], coding)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "tail", [b"junk", b"\0" * 1000, b"\x1f", b"\x1f\x1f\x8b", b"\r\n", b"<!-- cached -->", b"\n" + gzip.compress(b"x", mtime=0)]
)
def test_bytes_after_the_last_gzip_member_are_ignored(tail: bytes, step: int) -> None:
    members = gzip.compress(b"one ", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two", mtime=0)
    assert decode(members + tail, "gzip", step=step) == b"one two"


@pytest.mark.parametrize("size", [2, 10, 20])
def test_truncated_later_gzip_member_is_refused(size: int) -> None:
    with pytest.raises(DecodingError):
        decode(gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0)[:size], "gzip", step=3)


@pytest.mark.parametrize(
    "name",
    ["none", "None", "utf-8", "UTF8", "identity, identity", "binary", "8bit", "7bit", "iso-8859-1", "windows-1252", "us-ascii"],
)
def test_names_of_no_coding_leave_the_body_unchanged(name: str) -> None:
    assert decode(DATA, name) == DATA
    assert decode(gzip.compress(DATA, mtime=0), f"gzip, {name}") == DATA


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_empty_stream_is_an_empty_body(coding: str) -> None:
    assert decode(b"", coding) == b""


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip;q=1", "gzip, br", "gzip, gzip, gzip"])
def test_unknown_codings_are_refused(coding: str) -> None:
    with pytest.raises(UnknownCodingError):
        decode(b"data", coding)


@pytest.mark.parametrize("coding", CODED)
def test_limit_holds_for_coded_and_decoded_bytes(coding: str) -> None:
    with pytest.raises(TooLargeError):
        decode(CODED[coding], coding, limit=len(DATA) - 1)
    assert decode(CODED[coding], coding, limit=len(DATA)) == DATA


@given(st.binary(max_size=400), st.integers(1, 400), st.sampled_from(["gzip", "deflate", "gzip, deflate"]))
def test_random_bytes_are_decoded_or_refused(data: bytes, step: int, coding: str) -> None:
    try:
        assert isinstance(decode(data, coding, step=step), bytes)
    except DecodingError:
        assert data

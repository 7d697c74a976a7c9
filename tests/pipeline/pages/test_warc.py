import gzip
import io
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastArchiveIterator
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from pipeline.pages import warc
from pipeline.pages.answer import Answer
from pipeline.pages.warc import WarcError

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BODY = b"<!doctype html><p>Hello, h\xc3\xa9!</p>" * 50
ANSWER = Answer(
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


def write(path: Path, exchanges: int = 3) -> list[tuple[int, int]]:
    """A WARC file of equal exchanges; (offset, length) of the responses."""
    data = warc.info_member(path.name, NOON, {"software": "webtext"})
    places = []
    for _ in range(exchanges):
        exchange = warc.exchange_members(ANSWER, NOON)
        places.append((len(data), exchange.response_length))
        data += exchange.members
        data += warc.metadata_member(ANSWER.url, NOON, exchange.response_id, [("reddit-submission", "abc python 7")])
    path.write_bytes(data)
    return places


def test_bodies_are_read_by_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    assert [warc.read_body(str(path), *place) for place in write(path)] == [BODY] * 3


def test_records_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    places = write(path, 2)
    records = list(warc.records(str(path)))
    assert [r.kind for r in records] == ["warcinfo", *["response", "request", "metadata"] * 2]
    assert [(r.offset, r.length) for r in records if r.kind == "response"] == places
    assert {r.date for r in records} == {NOON}
    assert sum(r.length for r in records) == path.stat().st_size
    response = records[1]
    assert response.url == "https://example.com/a?api_key=REDACTED&page=2"
    answer = warc.http_response(response)
    assert (answer.status, answer.phrase, answer.body) == (200, "OK", BODY)
    assert (answer.coded, answer.header("content-encoding")) == (ANSWER.coded, "gzip")
    assert (answer.header("content-length"), answer.header("x-crawl-content-length")) == (str(len(answer.payload)), "7777")
    assert answer.header("x-name") == "caf\xe9"


def test_nothing_secret_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.warc.gz")
    text = gzip.decompress((tmp_path / "a.warc.gz").read_bytes())
    assert b"hush" not in text
    assert b"reddit-submission: abc python 7" in text


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.warc.gz")
    first = (tmp_path / "a.warc.gz").read_bytes()
    write(tmp_path / "a.warc.gz")
    assert (tmp_path / "a.warc.gz").read_bytes() == first


def test_other_tools_read_it_and_find_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    write(path)
    with path.open("rb") as file:
        bodies = [r.content_stream().read() for r in ArchiveIterator(file, check_digests="raise") if r.rec_type == "response"]
    assert bodies == [BODY] * 3
    with path.open("rb") as file:
        fast = [
            r.verify_payload_digest()
            for r in FastArchiveIterator(file, parse_http=True)
            if r.is_http and "response" in str(r.record_type)
        ]
    assert fast == [True] * 3
    checker = Checker(CheckArguments([str(path)]))
    checker.process_all()
    assert checker.exit_value == 0


class CheckArguments:
    """What `warcio check` is called with."""

    def __init__(self, inputs: list[str]) -> None:
        self.inputs = inputs
        self.verbose = False
        self.verbosity = 0


def test_every_cut_and_every_flip_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    write(path)
    whole = path.read_bytes()
    ends = {record.offset for record in warc.records(str(path))} | {0, len(whole)}
    chance = random.Random(3)
    reported = 0
    for _ in range(200):
        cut = chance.choice([at for at in range(len(whole)) if at not in ends])
        path.write_bytes(whole[:cut])
        with pytest.raises(WarcError):
            list(warc.records(str(path)))
        reported += 1
    for _ in range(200):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        reported += changed_or_raised(path, whole)
    assert reported == 400


def changed_or_raised(path: Path, whole: bytes) -> bool:
    """A flip in a member's unused head bytes (time, system) changes no record; every other one raises."""
    try:
        records = [(r.kind, r.block) for r in warc.records(str(path))]
    except WarcError:
        return True
    expected = [(r.kind, r.block) for r in warc.records(str(rewritten(path, whole)))]
    return records == expected


def rewritten(path: Path, data: bytes) -> Path:
    other = path.with_name("whole.warc.gz")
    other.write_bytes(data)
    return other


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"


def record(block: bytes) -> bytes:
    return b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: <http://a.example/>\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (
        len(block),
        block,
    )


def test_others_records_are_decoded(tmp_path: Path) -> None:
    coded = gzip.compress(BODY)
    block = CHUNKED + b"5\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (coded[:5], len(coded) - 5, coded[5:])
    plain, member = record(block), gzip.compress(record(block))
    (tmp_path / "plain.warc").write_bytes(plain + plain)
    (tmp_path / "members.warc.gz").write_bytes(member + member)
    for name, size in (("plain.warc", len(plain)), ("members.warc.gz", len(member))):
        found = list(warc.records(str(tmp_path / name)))
        assert [warc.http_response(r).body for r in found] == [BODY, BODY]
        assert {r.url for r in found} == {"http://a.example/"}
        assert warc.read_body(str(tmp_path / name), size, found[1].length) == BODY


@pytest.mark.parametrize(
    "block",
    [b"", b"HTTP/1.1", b"HTTP/1.1 abc\r\n\r\n", b"words\r\n\r\nmore", CHUNKED + b"5\r\nabc", CHUNKED + b"3\r\nabc\r\nzz\r\n"],
)
def test_what_is_no_response_is_an_error(block: bytes) -> None:
    data = record(block)
    with pytest.raises(ValueError, match=r"."):
        warc.http_response(warc.parse(data, 0, len(data)))


@pytest.mark.parametrize("data", [b"", b"WARC/1.0\r\n", b"words\r\n\r\n", b"WARC/1.0\r\nContent-Length: 9\r\n\r\nabc"])
def test_what_is_no_record_is_an_error(data: bytes) -> None:
    with pytest.raises(WarcError):
        warc.parse(data, 0, len(data))


@pytest.mark.parametrize("size", ["", "-1", "x", "\u00b2", "5" * 12, "5" * 60, "5" * 5000])
def test_a_length_that_no_record_has_is_an_error_before_memory_is_set_aside(tmp_path: Path, size: str) -> None:
    data = f"WARC/1.0\r\nContent-Length: {size}\r\n\r\nabc\r\n\r\n".encode()
    with pytest.raises(WarcError, match="Content-Length"):
        warc.parse(data, 0, len(data))
    for name, content in (("plain.warc", data), ("packed.warc.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WarcError, match="Content-Length"):
            list(warc.records(str(tmp_path / name)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@h.example/a", "https://h.example/a"),
        ("http://h.example/?token=1&x=2", "http://h.example/?token=REDACTED&x=2"),
        ("http://h.example/?x=2&access_token=a%20b#f", "http://h.example/?x=2&access_token=REDACTED#f"),
        ("http://h.example/?sid=1;key=2", "http://h.example/?sid=REDACTED;key=REDACTED"),
        ("http://h.example/?monkey=2&author=x", "http://h.example/?monkey=2&author=x"),
        ("at http://u:p@h.example/ and http://v@i.example/", "at http://h.example/ and http://i.example/"),
    ],
)
def test_redaction(text: str, expected: str) -> None:
    assert warc.redacted(text) == expected


def test_real_files(shared_data: Path) -> None:
    counted: dict[str, int | str] = {}
    for path in sorted((shared_data / "warc").glob("*.warc*")):
        try:
            counted[path.name] = sum(1 for _ in warc.records(str(path)))
        except WarcError as error:
            counted[path.name] = str(error)
    with (shared_data / "warc" / "dolma-sample-0000.warc.gz").open("rb") as file:
        assert counted["dolma-sample-0000.warc.gz"] == sum(1 for _ in ArchiveIterator(io.BytesIO(file.read())))
    assert counted["warcio-example.warc"] == counted["warcio-example.warc.gz"] == 6
    assert "several records in one gzip member" in str(counted["warcio-example-bad.warc.gz.bad"])
    assert "record at byte 2560: Content-Length ''" in str(counted["warcio-example-trunc.warc"])
    assert "Content-Length 1613, 343 bytes there" in str(counted["warcio-example-wrong-chunks.warc.gz"])

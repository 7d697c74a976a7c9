import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from warc_files import BODY, NOON, RESPONSE, write_warc
from warcio.archiveiterator import ArchiveIterator

from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_body, read_records
from pipeline.pages.warc_record import WarcError, parse_record

IMPORT_READER = """
import json, sys, types
storage = types.ModuleType("pipeline.storage.files")  # Beam's file systems would import HTTP clients of their own
sys.modules["pipeline.storage.files"] = storage
import pipeline.pages.warc_reader
print(json.dumps(sorted(sys.modules)))
"""


def test_reader_imports_no_http_client() -> None:
    out = subprocess.run([sys.executable, "-c", IMPORT_READER], check=True, capture_output=True, text=True)
    modules = json.loads(out.stdout)
    assert [name for name in modules if name.startswith("pipeline.pages.")] == [
        "pipeline.pages.archive_members",
        "pipeline.pages.archive_spans",
        "pipeline.pages.decoding",
        "pipeline.pages.header_parser",
        "pipeline.pages.http_response",
        "pipeline.pages.message_body",
        "pipeline.pages.stored_response",
        "pipeline.pages.wacz",
        "pipeline.pages.warc_reader",
        "pipeline.pages.warc_record",
    ]
    assert not {"urllib3", "requests", "http.client", "socket"} & set(modules)


def test_bodies_are_read_by_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    assert [read_body(str(path), *place) for place in write_warc(path)] == [BODY] * 3


def test_records_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    places = write_warc(path, 2)
    records = list(read_records(str(path)))
    assert [r.kind for r in records] == ["warcinfo", *["response", "request", "metadata"] * 2]
    assert [(r.offset, r.length) for r in records if r.kind == "response"] == places
    assert {r.date for r in records} == {NOON}
    assert sum(r.length for r in records) == path.stat().st_size
    response = records[1]
    assert response.url == "https://example.com/a?api_key=REDACTED&page=2"
    answer = http_response(response)
    assert (answer.status, answer.phrase, answer.body) == (200, "OK", BODY)
    assert (answer.coded, answer.header("content-encoding")) == (RESPONSE.coded, "gzip")
    assert (answer.header("content-length"), answer.header("x-crawl-content-length")) == (str(len(answer.payload)), "7777")
    assert answer.header("x-name") == "caf\xe9"


def test_truncation_and_bit_flips_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    write_warc(path)
    whole = path.read_bytes()
    ends = {record.offset for record in read_records(str(path))} | {0, len(whole)}
    chance = random.Random(3)
    reported = 0
    for _ in range(200):
        cut = chance.choice([at for at in range(len(whole)) if at not in ends])
        path.write_bytes(whole[:cut])
        with pytest.raises(WarcError):
            list(read_records(str(path)))
        reported += 1
    for _ in range(200):
        at, bit = chance.randrange(len(whole)), chance.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        reported += changed_or_raised(path, whole)
    assert reported == 400


def changed_or_raised(path: Path, whole: bytes) -> bool:
    """Whether a flip raised, or hit unused bytes of a member's header (time, system) and changed no record."""
    try:
        records = [(r.kind, r.block) for r in read_records(str(path))]
    except WarcError:
        return True
    expected = [(r.kind, r.block) for r in read_records(str(rewritten(path, whole)))]
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


def test_records_of_other_writers_are_decoded(tmp_path: Path) -> None:
    coded = gzip.compress(BODY)
    block = CHUNKED + b"5\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (coded[:5], len(coded) - 5, coded[5:])
    plain, member = record(block), gzip.compress(record(block))
    (tmp_path / "plain.warc").write_bytes(plain + plain)
    (tmp_path / "members.warc.gz").write_bytes(member + member)
    for name, size in (("plain.warc", len(plain)), ("members.warc.gz", len(member))):
        both = list(read_records(str(tmp_path / name)))
        assert [http_response(r).body for r in both] == [BODY, BODY]
        assert {r.url for r in both} == {"http://a.example/"}
        assert read_body(str(tmp_path / name), size, both[1].length) == BODY


@pytest.mark.parametrize(
    "block",
    [b"", b"HTTP/1.1", b"HTTP/1.1 abc\r\n\r\n", b"words\r\n\r\nmore", CHUNKED + b"5\r\nabc", CHUNKED + b"3\r\nabc\r\nzz\r\n"],
)
def test_record_without_a_response_is_an_error(block: bytes) -> None:
    data = record(block)
    with pytest.raises(ValueError, match=r"."):
        http_response(parse_record(data, 0, len(data)))


@pytest.mark.parametrize("data", [b"", b"WARC/1.0\r\n", b"words\r\n\r\n", b"WARC/1.0\r\nContent-Length: 9\r\n\r\nabc"])
def test_data_without_a_record_is_an_error(data: bytes) -> None:
    with pytest.raises(WarcError):
        parse_record(data, 0, len(data))


@pytest.mark.parametrize("size", ["", "-1", "x", "\u00b2", "5" * 12, "5" * 60, "5" * 5000])
def test_invalid_length_is_an_error_before_memory_is_allocated(tmp_path: Path, size: str) -> None:
    data = f"WARC/1.0\r\nContent-Length: {size}\r\n\r\nabc\r\n\r\n".encode()
    with pytest.raises(WarcError, match="Content-Length"):
        parse_record(data, 0, len(data))
    for name, content in (("plain.warc", data), ("packed.warc.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WarcError, match="Content-Length"):
            list(read_records(str(tmp_path / name)))


def test_real_files_are_read_or_refused(shared_data: Path) -> None:
    counted: dict[str, int | str] = {}
    for path in sorted((shared_data / "warc").glob("*.warc*")):
        try:
            counted[path.name] = sum(1 for _ in read_records(str(path)))
        except WarcError as error:
            counted[path.name] = str(error)
    with (shared_data / "warc" / "dolma-sample-0000.warc.gz").open("rb") as file:
        assert counted["dolma-sample-0000.warc.gz"] == sum(1 for _ in ArchiveIterator(io.BytesIO(file.read())))
    assert counted["warcio-example.warc"] == counted["warcio-example.warc.gz"] == 6
    assert "several records in one gzip member" in str(counted["warcio-example-bad.warc.gz.bad"])
    assert counted["warcio-example-trunc.warc"] == 4  # zeros after a record are padding
    assert "Content-Length 1613, 343 bytes there" in str(counted["warcio-example-wrong-chunks.warc.gz"])

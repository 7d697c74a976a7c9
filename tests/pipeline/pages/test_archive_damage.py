"""Damage in an archive costs the records that it hits, and no others; it never ends in another error than a named one."""

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.archive_spans import spans
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import RECORD_FAILURES, read_records
from pipeline.pages.warc_record import SeveralRecordsError, WarcError
from tokenizer.errors import InputError

RECORDS = 12


def body(number: int, host: str = "a.example") -> bytes:
    """A page whose text does not compress to a few bytes, and which speaks of records."""
    words = random.Random(f"{host} {number}").choices(["of", "the", "archive", "page", "words", "WARC/1.0"], k=150)
    return (
        f"<!doctype html><p>{host} {number}\n{' '.join(words)}\nWARC/1.0\nhttp://b.example/ 1 2 3\n{'The end. ' * 9}\n".encode()
    )


def warc(number: int, host: str = "a.example") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number, host)
    fields = f"WARC-Type: response\r\nWARC-Target-URI: http://{host}/{number}\r\nWARC-Date: 2016-05-01T00:00:00Z\r\n"
    return f"WARC/1.0\r\n{fields}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def arc(number: int, host: str = "a.example") -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number, host)
    return b"http://%s/%d 192.0.2.7 20160501000000 text/html %d\n%s\n" % (host.encode(), number, len(block), block)


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def framed(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})


Form = Callable[[int, str], bytes]
FORMS: dict[str, Form] = {
    "plain.warc": warc,
    "members.warc.gz": lambda number, host: packed(warc(number, host)),
    "frames.warc.zst": lambda number, host: framed(warc(number, host)),
    "plain.arc": arc,
    "members.arc.gz": lambda number, host: packed(arc(number, host)),
}
MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit is flipped": lambda d, c: flipped(d, c.randrange(len(d)), c),
    "a bit of the head is flipped": lambda d, c: flipped(d, c.randrange(30), c),
    "a bit of the end is flipped": lambda d, c: flipped(d, len(d) - 1 - c.randrange(30), c),
    "a byte is lost": lambda d, c: d[: (at := c.randrange(len(d)))] + d[at + 1 :],
    "a byte is added": lambda d, c: d[: (at := c.randrange(len(d)))] + b"x" + d[at:],
    "the beginning is lost": lambda d, c: d[c.randrange(1, 60) :],
    "the end is lost": lambda d, c: d[: -c.randrange(5, 60)],
    "the middle is lost": lambda d, c: d[: len(d) // 3] + d[len(d) // 2 :],
    "the middle is zeros": lambda d, c: d[: len(d) // 3] + bytes(len(d) // 2 - len(d) // 3) + d[len(d) // 2 :],
    "all is lost but a few bytes": lambda d, c: d[4:9] + b"\n",
    "all is zeros": lambda d, c: bytes(len(d)),
    "all is noise": lambda d, c: c.randbytes(len(d)),
    "noise comes first": lambda d, c: c.randbytes(50) + d,
    "noise comes last": lambda d, c: d + c.randbytes(50),
    "a magic number comes first": lambda d, c: b"\x1f\x8b\x08" + d,
    "half of it comes first": lambda d, c: d[: len(d) // 2] + d,
    "the length is larger": lambda d, c: d.replace(b"Content-Length: ", b"Content-Length: 1").replace(b"text/html ", b"text/html 1"),
    "the length is smaller": lambda d, c: d.replace(b"Content-Length: 1", b"Content-Length: ").replace(b"text/html 1", b"text/html "),
    "the length is no number": lambda d, c: d.replace(b"Content-Length: 1", b"Content-Length: x").replace(b"html 1", b"html x"),
    "a header line is twice as long": lambda d, c: d.replace(b"\r\n", b"\r\n" * 2, 1),
}  # fmt: skip


def flipped(data: bytes, at: int, chance: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_damage_costs_no_record_but_those_that_it_hits(tmp_path: Path, name: str, mutation: str) -> None:
    chance = random.Random(f"{name} {mutation}")
    path = tmp_path / name
    for hit in (3, RECORDS - 1):
        records = [FORMS[name](number, "a.example") for number in range(RECORDS)]
        records[hit] = MUTATIONS[mutation](records[hit], chance)
        path.write_bytes(b"".join(records))
        errors: list[WarcError] = []
        found: dict[str, bytes] = {}
        for record in read_records(str(path), errors.append):
            try:
                found[record.url] = http_response(record).body
            except RECORD_FAILURES:
                continue
        intact = {f"http://a.example/{number}": body(number) for number in range(RECORDS) if number != hit}
        assert {url: found.get(url) for url in intact} == intact
        if name.endswith(("z", "zst")) and records[hit].strip(b"\0"):  # only these hold checksums
            assert errors or found[f"http://a.example/{hit}"] == body(hit)


def test_pages_beside_damaged_records_are_copied_and_the_damage_is_named(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    expected: dict[str, bytes | str] = {}
    (tmp_path / "archives").mkdir()
    for number, (mutation, mutate) in enumerate(MUTATIONS.items()):
        host = f"m{number}.example"
        records = [packed(warc(i, host)) for i in range(3)]
        records[1] = mutate(records[1], random.Random(mutation))
        (tmp_path / "archives" / f"{number:02d}.warc.gz").write_bytes(b"".join(records))
        expected |= {f"http://{host}/{i}": body(i, host) for i in (0, 2)}
        if records[1] not in (packed(warc(1, host)), packed(warc(1, host)) + records[1][-50:]):
            expected[f"http://{host}/1"] = "not_archived"
    links = links_folder(tmp_path / "links", [link(url) for url in sorted(expected)])
    with caplog.at_level("INFO"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "archives"),))
    found: dict[str, bytes | str] = dict(drops_of(tmp_path / "pages"))
    found |= {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    intact = {url: meant for url, meant in expected.items() if not isinstance(meant, str)}
    assert {url: found[url] for url in intact} == intact
    assert len(intact) == 2 * len(MUTATIONS)
    assert "08.warc.gz: 1 bad records skipped" in caplog.text
    assert "bad records skipped)" in caplog.text


@pytest.mark.parametrize("name", FORMS)
def test_file_without_a_record_that_can_be_read_ends_with_one_line(tmp_path: Path, engine: Engine, name: str) -> None:
    path = tmp_path / name
    records = [FORMS[name](number, "a.example") for number in range(2)]
    path.write_bytes(b"".join(record[: len(record) // 2] for record in records))
    links = links_folder(tmp_path / "links", [link("http://a.example/0")])
    with pytest.raises(InputError, match=r"get the file anew, or leave it out$") as raised:
        run(links, tmp_path / "pages", engine, fetch_from=(str(path),))
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("name", FORMS)
def test_spans_after_damage_are_where_they_were(name: str) -> None:
    records = [FORMS[name](number, "a.example") for number in range(4)]
    records[1] = records[1][:-50] + b"\n"
    data = b"".join(records)
    found = {offset: length for offset, length, _ in spans(io.BytesIO(data), lambda _: None)}
    for number in (0, 2, 3):
        offset = data.index(records[number])
        assert 0 <= len(records[number]) - found[offset] <= 4


def as_a_whole(name: str, records: list[bytes]) -> bytes:
    """An archive compressed as a whole, in one of the ways in which that comes about."""
    data = b"".join(records)
    return {
        "gzip.warc.gz": lambda: packed(data),
        "zstd.warc.zst": lambda: framed(data),
        "info-alone.warc.gz": lambda: packed(records[0]) + packed(b"".join(records[1:])),
        "blocks.warc.gz": lambda: b"".join(packed(data[at : at + 900]) for at in range(0, len(data), 900)),
        "two-frames.warc.zst": lambda: framed(data[:1000]) + framed(data[1000:]),
        "gzip.arc.gz": lambda: packed(b"".join(arc(number) for number in range(RECORDS))),
        "zeros.warc.gz": lambda: packed(b"".join(records[:4])) + bytes(600) + packed(b"".join(records[4:])),
        "inside.wacz": lambda: zipped(packed(data)),
    }[name]()


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.warc.gz"), data)
    return sink.getvalue()


WHOLES = [
    "gzip.warc.gz",
    "zstd.warc.zst",
    "info-alone.warc.gz",
    "blocks.warc.gz",
    "two-frames.warc.zst",
    "gzip.arc.gz",
    "zeros.warc.gz",
    "inside.wacz",
]


@pytest.mark.parametrize("name", WHOLES)
def test_archive_that_was_compressed_as_a_whole_is_read(tmp_path: Path, engine: Engine, name: str) -> None:
    (tmp_path / name).write_bytes(as_a_whole(name, [warc(number) for number in range(RECORDS)]))
    links = links_folder(tmp_path / "links", [link(f"http://a.example/{number}") for number in range(RECORDS)])
    run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / name),))
    found = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    assert found == {f"http://a.example/{number}": body(number) for number in range(RECORDS)}
    assert not (tmp_path / "pages" / ".work").exists()


def test_end_of_an_archive_that_was_compressed_as_a_whole_may_be_lost(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut.warc.gz"
    path.write_bytes(packed(b"".join(warc(number) for number in range(RECORDS)))[:-300])
    links = links_folder(tmp_path / "links", [link(f"http://a.example/{number}") for number in range(RECORDS)])
    with caplog.at_level("INFO"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(path),))
    found = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    assert RECORDS // 2 < len(found) < RECORDS
    assert found.items() <= {f"http://a.example/{number}": body(number) for number in range(RECORDS)}.items()
    assert "bad records skipped" in caplog.text


@pytest.mark.parametrize("dictionary", [b"\x37\xa4\x30\xec" + bytes(90), b"short", framed(b"x" * 99)[:-20]])
def test_damaged_dictionary_of_an_archive_ends_with_one_line(tmp_path: Path, engine: Engine, dictionary: bytes) -> None:
    path = tmp_path / "x.warc.zst"
    path.write_bytes(struct.pack("<II", 0x184D2A5D, len(dictionary)) + dictionary + framed(warc(0))[:-9])
    links = links_folder(tmp_path / "links", [link("http://a.example/0")])
    with pytest.raises(InputError, match=r"get the file anew, or leave it out$"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(path),))


def test_archive_that_expands_without_end_is_refused(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.pages.archive_unpacking.FREE_BYTES", 1 << 16)
    path = tmp_path / "bomb.warc.gz"
    path.write_bytes(packed(warc(0) + warc(1) + bytes(5_000_000)))
    links = links_folder(tmp_path / "links", [link("http://a.example/0")])
    with pytest.raises(InputError, match=r"bomb\.warc\.gz: it expands to more than"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(path),))


def test_large_record_is_skipped_and_no_reason_to_copy_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("archive_members", "warc_record"):
        monkeypatch.setattr(f"pipeline.pages.{module}.MAX_RECORD_BYTES", 3000)
    large = warc(1).replace(b"Content-Length: 1", b"Content-Length: 9") + bytes(8000)
    for name, pack in (("x.warc.gz", packed), ("x.warc.zst", framed)):
        (tmp_path / name).write_bytes(pack(warc(0)) + pack(large) + pack(warc(2)))
        errors: list[WarcError] = []
        found = [record.url for record in read_records(str(tmp_path / name), errors.append)]
        assert found == ["http://a.example/0", "http://a.example/2"]
        assert [isinstance(error, SeveralRecordsError) for error in errors] == [False]


def test_gzip_body_in_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    inner = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed(body(1))
    head = f"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: {len(inner)}\r\n\r\n".encode()
    stored = gzip.compress(head + inner + b"\r\n\r\n", compresslevel=0, mtime=0)
    assert packed(body(1)) in stored
    path = tmp_path / "x.warc.gz"
    path.write_bytes(packed(warc(0)) + stored[:-9] + b"x" + stored[-8:] + packed(warc(2)))
    errors: list[WarcError] = []
    assert [record.url for record in read_records(str(path), errors.append)] == ["http://a.example/0", "http://a.example/2"]
    assert len(errors) == 1

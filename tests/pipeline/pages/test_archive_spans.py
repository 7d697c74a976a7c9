import gzip
import io
import random
import struct
import zipfile
from pathlib import Path

import pytest
from backports import zstd

from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_body, read_records
from pipeline.pages.warc_record import NotAnArchiveError, WarcError

BODIES = [b"<p>Page %d " % i + b"with words of its own, and more. " * 20 for i in range(3)]
WARC_HEAD = (
    "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{}\r\nWARC-Date: 2016\r\nContent-Length: {}\r\n\r\n"
)


def block(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body


def warc_record(number: int, end: bytes = b"\r\n\r\n") -> bytes:
    http = block(BODIES[number])
    return WARC_HEAD.format(number, len(http)).encode() + http + end


def arc_record(number: int) -> bytes:
    http = block(BODIES[number])
    return b"http://a.example/%d 192.0.2.7 20160101000000 text/html %d\n%s\n" % (number, len(http), http)


RECORDS = [warc_record(number) for number in range(3)]
ARC_BLOCK = b"1 0 Alexa Internet\nURL IP-address Archive-date Content-type Archive-length\n"
ARC_HEAD = b"filedesc://a.arc 0.0.0.0 20160101000000 text/plain %d\n%s\n" % (len(ARC_BLOCK), ARC_BLOCK)
ARC_RECORDS = [ARC_HEAD, *(arc_record(number) for number in range(3))]


def zstd_frames(dictionary: bytes = b"", packed: bool = False) -> bytes:
    known = zstd.ZstdDict(dictionary, is_raw=True) if dictionary else None
    frames = b"".join(zstd.compress(record, zstd_dict=known) for record in RECORDS)
    if not dictionary:
        return frames
    stored = zstd.compress(dictionary) if packed else dictionary
    return struct.pack("<II", 0x184D2A5D, len(stored)) + stored + frames


def gzipped(*members: bytes) -> bytes:
    return b"".join(gzip.compress(member, mtime=0) for member in members)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP file, as WACZ lays it out around its archives."""
    sink = io.BytesIO()
    around = [("pages/pages.jsonl", b'{"format": "json-pages-1.0"}\n'), ("datapackage.json", b"{}")]
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in [around[0], *members, around[1]]:
            archive.writestr(zipfile.ZipInfo(name), data, method)  # without the time
    return sink.getvalue()


TRAINED = zstd.train_dict([record + b"%d" % i for i in range(200) for record in RECORDS], 2000).dict_content
FILES = {
    "plain.warc": b"".join(RECORDS),
    "blank-lines.warc": b"\r\n\r\n".join([b"", *RECORDS]),
    "no-blank-lines.warc": b"".join(warc_record(number, b"") for number in range(3)),
    "bare-line-feeds.warc": b"".join(warc_record(number).replace(b"\r\n", b"\n", 6) for number in range(3)),
    "zeros.warc": b"".join(RECORDS) + bytes(700_000),
    "members.warc.gz": gzipped(*RECORDS),
    "empty-members.warc.gz": gzipped(b"", RECORDS[0], b"", b"\r\n", RECORDS[1], RECORDS[2], b""),
    "zeros.warc.gz": gzipped(RECORDS[0]) + bytes(600_000) + gzipped(*RECORDS[1:]) + bytes(512),
    "frames.warc.zst": zstd_frames(),
    "dictionary.warc.zst": zstd_frames(TRAINED),
    "packed-dictionary.warc.zst": zstd_frames(TRAINED, packed=True),
    "one.wacz": zipped(("archive/data.warc.gz", gzipped(*RECORDS))),
    "two.wacz": zipped(("archive/a.warc.gz", gzipped(RECORDS[0], b"")), ("archive/B.WARC", b"\r\n".join(RECORDS[1:]))),
    "arcs.zip": zipped(("x.arc", b"".join(ARC_RECORDS[:3])), ("y.arc.gz", gzipped(ARC_RECORDS[3]))),
    "plain.arc": b"".join(ARC_RECORDS),
    "members.arc.gz": gzipped(*ARC_RECORDS),
    "version-2.arc": b"".join(r.replace(b" text/html ", b" text/html 200 AB12 - 0 a.arc ", 1) for r in ARC_RECORDS),
}


@pytest.mark.parametrize("name", FILES)
def test_pages_of_every_form_of_archive_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    records = [record for record in read_records(str(path)) if record.kind == "response"]
    assert [record.url for record in records] == [f"http://a.example/{number}" for number in range(3)]
    assert [http_response(record).body for record in records] == BODIES
    assert {record.date.isoformat() for record in records} == {"2016-01-01T00:00:00+00:00"}
    assert [read_body(str(path), record.offset, record.length) for record in records] == BODIES


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith((".wacz", ".zip"))])
def test_file_that_ends_early_is_damaged_and_not_of_another_kind(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name].rstrip(b"\r\n\0")[:-40])
    with pytest.raises(WarcError) as raised:
        list(read_records(str(path)))
    assert not isinstance(raised.value, NotAnArchiveError)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PK\x03\x04" + bytes(40), "a ZIP file that cannot be read"),
        (zipped(("archive/a.warc.gz", gzipped(*RECORDS)))[:-30], "a ZIP file that cannot be read"),
        (zipped(("archive/a.warc.gz", gzipped(*RECORDS)), method=zipfile.ZIP_DEFLATED), "that packs archive/a.warc.gz"),
        (zipped(("inner.wacz", zipped(("a.warc", RECORDS[0])))), r"a ZIP file without a \*.warc"),
        (zipped(("a.warc", zipped(("a.warc", RECORDS[0])))), "a ZIP file, not a WARC or ARC file"),
        (zipped(), "a ZIP file without"),
        (b"\x04\x22\x4d\x18" + bytes(20), "an LZ4 file"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
        (b"Rar!\x1a\x07", "a RAR file"),
        (b"SQLite format 3\0", "an SQLite file"),
        (b"BZh91AY", "a bzip2 file"),
        (b"\xfd7zXZ\x00", "an xz file"),
        (b"PAR1", "a Parquet file"),
        (b'{"url": "a"}', "JSON"),
        (b"<!doctype html>", "HTML or XML"),
        (b"%PDF-1.4", "a PDF file"),
        (b" CDX N b a m s k r M S V g\n", "a CDX index"),
        (b"WARC/0.9 1234 response http://a.example/ 20060101000000 x text/html\r\n", "whose fields have no names"),
        (b"words", "not a WARC or ARC file: it begins with b'words'"),
        (b"com,example)/ 20160101 {}", "not a WARC or ARC file"),
    ],
)
def test_file_of_another_kind_is_named_as_that(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "x.warc"
    path.write_bytes(data)
    with pytest.raises(NotAnArchiveError, match=kind):
        list(read_records(str(path)))


def test_zip_file_that_lies_about_its_members_is_refused_or_gives_whole_records(tmp_path: Path) -> None:
    data = zipped(("archive/a.warc.gz", gzipped(*RECORDS)))
    path = tmp_path / "x.wacz"
    chance = random.Random(5)
    for _ in range(300):
        at = chance.randrange(data.index(b"PK\x01\x02") - 200, len(data))
        path.write_bytes(data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :])
        try:
            records = list(read_records(str(path), lambda _: None))
        except WarcError:
            continue
        assert {record.url for record in records} <= {f"http://a.example/{number}" for number in range(3)}


def test_zstd_frame_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.warc.zst"
    sink = io.BytesIO()
    with zstd.ZstdFile(sink, "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    path.write_bytes(sink.getvalue())
    with pytest.raises(WarcError, match="more than 256 MiB"):
        list(read_records(str(path)))

"""Index files of both formats as they are found: kinds, names, other types of columns, damage."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from servers.crawl_archive import MadeCrawl, Shot, cdxj_lines, rows_of, write_cdxj, write_columnar, write_zipnum

from pipeline.archives import columnar
from pipeline.archives.cdxj import (
    BadIndexError,
    block_lines,
    blocks_with,
    digest_bytes,
    instant_of,
    lines,
    parse_line,
    read_cluster,
)
from pipeline.archives.choose import Window, microseconds
from pipeline.archives.index_files import COLUMNAR, PLAIN, ZIPNUM, crawl_of, crawl_span, find_index_files
from pipeline.archives.lookups import Lookups, lookup_row, lookup_table
from pipeline.records import Link
from tokenizer.errors import InputError

AT = datetime(2015, 9, 1, tzinfo=UTC)
SHOTS = [Shot(f"http://a.example/{n:02d}", AT) for n in range(30)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("index")
    made = MadeCrawl("CC-MAIN-2015-35", SHOTS).write(root / "archive")
    write_columnar(root / "columnar", [made])
    write_cdxj(root / "plain", [made])
    write_zipnum(root / "zipnum", [made])
    return root


@pytest.mark.parametrize(("folder", "kind"), [("columnar", COLUMNAR), ("plain", PLAIN), ("zipnum", ZIPNUM)])
def test_kinds_are_found(root: Path, folder: str, kind: str) -> None:
    found = find_index_files([str(root / folder)], "")
    assert {entry.kind for entry in found} == {kind}
    assert {entry.crawl for entry in found} == {"CC-MAIN-2015-35"}


@pytest.mark.parametrize(
    ("name", "day", "inside"),
    [
        ("CC-MAIN-2013-20", datetime(2013, 5, 18, tzinfo=UTC), True),
        ("CC-MAIN-2013-20", datetime(2015, 5, 18, tzinfo=UTC), False),
        ("CC-MAIN-2012", datetime(2012, 11, 1, tzinfo=UTC), True),
        ("CC-MAIN-2009-2010", datetime(2010, 11, 1, tzinfo=UTC), True),
        ("CC-MAIN-2009-2010", datetime(2012, 11, 1, tzinfo=UTC), False),
    ],
)
def test_span_of_a_crawl_by_its_name(name: str, day: datetime, inside: bool) -> None:
    span = crawl_span(name)
    assert span
    assert (span[0] <= microseconds(day) <= span[1]) == inside


@pytest.mark.parametrize("name", ["mine", "CC-MAIN-2015-99", "CC-NEWS-2016", ""])
def test_other_names_have_no_span(name: str) -> None:
    assert crawl_span(name) is None


def test_crawl_in_a_path() -> None:
    assert crawl_of("s3://commoncrawl/cc-index/collections/CC-MAIN-2009-2010/indexes/cdx-00000.gz") == "CC-MAIN-2009-2010"


def looked_up(*urls: str) -> Lookups:
    rows = (lookup_row(url, i, Link(url, "", "", 0, AT, ()), Window()) for i, url in enumerate(urls))
    return Lookups(lookup_table(filter(None, rows)))


def hits_of(table: pa.Table, path: Path, **options: object) -> list[str]:
    pq.write_table(table, path, **options)
    with path.open("rb") as file:
        found = list(columnar.hits(file, looked_up(SHOTS[3].url, SHOTS[17].url, "http://b.example/")))
    return [url for _, rows in found for url in rows.urls]


@pytest.mark.parametrize(
    "kind", ["as published", "large_string", "dictionary", "binary", "int96", "int64", "no statistics", "timestamp us utc"]
)
def test_columns_of_other_types(tmp_path: Path, root: Path, kind: str) -> None:
    table = pa.Table.from_pylist(rows_of(SHOTS))
    options: dict[str, object] = {"row_group_size": 4}
    texts = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
    casts = {"large_string": pa.large_string(), "binary": pa.binary()}
    if kind in casts or kind == "dictionary":
        for name in texts:
            column = table.column(name).dictionary_encode() if kind == "dictionary" else table.column(name).cast(casts[kind])
            table = table.set_column(table.column_names.index(name), name, column)
    if kind == "int64":
        for name in ("warc_record_offset", "fetch_status"):
            table = table.set_column(table.column_names.index(name), name, table.column(name).cast(pa.int64()))
    if kind == "timestamp us utc":
        times = pc.assume_timezone(table.column("fetch_time"), "UTC")
        table = table.set_column(table.column_names.index("fetch_time"), "fetch_time", times)
    options |= {"int96": {"use_deprecated_int96_timestamps": True}, "no statistics": {"write_statistics": False}}.get(kind, {})
    assert hits_of(table, tmp_path / "x.parquet", **options) == [SHOTS[3].url, SHOTS[17].url]


def test_row_groups_without_wanted_keys_or_days_are_not_read(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows_of(SHOTS))
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=5)
    late = Lookups(
        lookup_table(
            filter(None, [lookup_row(SHOTS[3].url, 0, Link("", "", "", 0, datetime(2018, 1, 1, tzinfo=UTC), ()), Window())])
        )
    )
    with (tmp_path / "x.parquet").open("rb") as file:
        assert not list(columnar.hits(file, late))
        assert len(list(columnar.hits(file, looked_up(SHOTS[3].url)))) == 1


@pytest.mark.parametrize("absent", ["url_surtkey", "url", "fetch_time", "fetch_status", "warc_filename", "warc_record_offset"])
def test_a_table_without_a_needed_column_is_refused(tmp_path: Path, absent: str) -> None:
    table = pa.Table.from_pylist(rows_of(SHOTS)).drop_columns(absent)
    with pytest.raises(BadIndexError, match=absent):
        hits_of(table, tmp_path / "x.parquet")


@pytest.mark.parametrize("content_columns", [("content_digest",), ("content_truncated", "content_charset", "content_mime_type")])
def test_columns_that_came_later_may_be_absent(tmp_path: Path, content_columns: tuple[str, ...]) -> None:
    table = pa.Table.from_pylist(rows_of(SHOTS)).drop_columns(list(content_columns))
    assert len(hits_of(table, tmp_path / "x.parquet")) == 2


def test_lines_of_plain_and_compressed_files(tmp_path: Path) -> None:
    text = b"!meta {}\n" + b"\n".join(cdxj_lines(SHOTS)) + b"\n\n"
    plain, whole, members = (tmp_path / name for name in ("a.cdxj", "b.cdxj.gz", "c.cdxj.gz"))
    plain.write_bytes(text)
    whole.write_bytes(gzip.compress(text))
    members.write_bytes(b"".join(gzip.compress(line + b"\n") for line in text.split(b"\n")))
    for path in (plain, whole, members):
        with path.open("rb") as file:
            assert list(lines(file)) == cdxj_lines(SHOTS)


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
def test_a_cut_file_is_no_index(tmp_path: Path, cut: int) -> None:
    data = gzip.compress(b"\n".join(cdxj_lines(SHOTS)))
    (tmp_path / "x.gz").write_bytes(data[:-cut])
    with (tmp_path / "x.gz").open("rb") as file, pytest.raises(BadIndexError):
        list(lines(file))


def test_only_blocks_with_wanted_keys_are_read(root: Path) -> None:
    folder = next((root / "zipnum").rglob("cluster.idx")).parent
    blocks = read_cluster((folder / "cluster.idx").read_bytes())
    key = "example,a)/17"
    wanted = [
        (block, shard)
        for shard in ("cdx-00000.gz", "cdx-00001.gz", "cdx-00002.gz")
        for block in blocks_with(blocks, [key], shard)
    ]
    assert 1 <= len(wanted) <= 2
    found = [
        line
        for block, shard in wanted
        for line in block_lines((folder / shard).read_bytes()[block.offset : block.offset + block.length])
    ]
    assert any(parse_line(line).key == key for line in found)
    assert len(found) <= 10


@pytest.mark.parametrize(
    "line", [b"", b"key", b"key 2015", b"key 20150901000000 {", b"key 20150901000000 []", b"key x {}", b"k 1 {}"]
)
def test_lines_that_are_no_captures(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds
        parse_line(line)


@pytest.mark.parametrize("data", [b"one line\n", b"key ts\tcdx-0\tx\ty\n", b"\xff\xfe\n"])
def test_a_cluster_that_is_none(data: bytes) -> None:
    with pytest.raises(BadIndexError):
        read_cluster(data)


def test_digests_and_instants() -> None:
    assert digest_bytes("B2LTWWPUOYAH7UIPQ7ZUPQ4VMBSVC36A") == digest_bytes("SHA1:0e973b59f476007fd10f87f347c3956065516fc0")
    assert [digest_bytes(text) for text in ("", "-", "md5:00", "sha1:xyz", "!" * 32)] == [b""] * 5
    assert instant_of("20130609034215").minute == 42


@pytest.mark.parametrize("name", ["README.md", "x.warc.gz", "cdx.txt"])
def test_a_file_that_is_no_index_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="no index of captures"):
        find_index_files([str(tmp_path / name)], "")

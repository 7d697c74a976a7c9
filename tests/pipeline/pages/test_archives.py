import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive_records import http, outcomes, record
from servers.replay import ReplayServer
from servers.stage_runs import body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.archive_files import archive_files, skipped_files
from pipeline.pages.archive_index import bucket_count
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_records
from pipeline.pages.warc_writer import exchange_members
from pipeline.redaction import redact
from tokenizer.errors import InputError

HTML = (("Content-Type", "text/html; charset=utf-8"),)


def capture(url: str, body: bytes, day: int = 1, status: int = 200, headers: tuple[tuple[str, str], ...] = HTML) -> bytes:
    response = HttpResponse(url, status, "Answered", headers, body, ())
    return exchange_members(response, datetime(2016, 5, day, tzinfo=UTC)).members


def test_pages_are_copied_from_archives(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "archives").mkdir()
    one = [
        capture("https://a.example/x", b"<p>early", 1),
        capture("https://a.example/x", b"<p>near", 20),
        capture("http://www.a.example/x?utm_source=y", b"<p>other spelling", 2),
        capture("https://b.example/", b"no", 2, 404),
    ]
    two = [
        capture("https://c.example/old", b"", 2, 301, (("Location", "/new"),)),
        capture("http://c.example/new", b"<p>new", 3),
        capture("https://d.example/", b"%PDF-1.4", 3),
        capture("https://e.example/loop", b"", 2, 301, (("Location", "/loop"),)),
    ]
    (tmp_path / "archives" / "one.warc.gz").write_bytes(b"".join(one))
    (tmp_path / "archives" / "two.warc").write_bytes(gzip.decompress(b"".join(two)))
    near = datetime(2016, 5, 18, tzinfo=UTC)
    urls = ["https://a.example/x", "https://b.example/", "https://c.example/old", "https://d.example/", "https://e.example/loop"]
    links = links_folder(tmp_path / "links", [link(url, "abc", at=near) for url in [*urls, "https://f.example/"]])
    run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "archives"),))
    assert drops_of(tmp_path / "pages") == {
        "https://b.example/": "http_404",
        "https://d.example/": "not_html",
        "https://e.example/loop": "too_many_redirects",
        "https://f.example/": "not_archived",
    }
    pages = {page.url: page for page in pages_of(tmp_path / "pages")}
    bodies = {url: body_of(tmp_path / "pages", page) for url, page in pages.items()}
    assert bodies == {"https://a.example/x": b"<p>near", "https://c.example/old": b"<p>new"}
    assert pages["https://c.example/old"].final_url == "http://c.example/new"
    assert pages["https://a.example/x"].fetched_at == datetime(2016, 5, 20, tzinfo=UTC)


def test_own_crawl_serves_as_archive(tmp_path: Path, engine: Engine) -> None:
    web = {f"https://{name}.example/": b"<p>" + name.encode() for name in "abc"}
    links = links_folder(tmp_path / "links", [link(url) for url in web])
    with ReplayServer(dict(web)) as server:
        run(links, tmp_path / "live", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
    run(links, tmp_path / "again", engine, fetch_from=(str(tmp_path / "live"),))
    live, again = pages_of(tmp_path / "live"), pages_of(tmp_path / "again")
    kept = ("url", "final_url", "fetched_at", "status", "media_type", "charset", "sha256", "karma")
    assert [[getattr(p, k) for k in kept] for p in live] == [[getattr(p, k) for k in kept] for p in again]
    assert [body_of(tmp_path / "again", p) for p in again] == [web[p.url] for p in again]
    run(links, tmp_path / "twice", engine, fetch_from=(str(tmp_path / "live"),))
    assert contents(tmp_path / "twice") == contents(tmp_path / "again")


def test_a_damaged_archive_is_named(tmp_path: Path, engine: Engine) -> None:
    data = capture("https://a.example/x", b"<p>words")
    (tmp_path / "cut.warc.gz").write_bytes(data[:-9])
    links = links_folder(tmp_path / "links", [link("https://a.example/x")])
    with pytest.raises(InputError, match=r"cut\.warc\.gz: the file ends inside the record at byte 0; get the file anew"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "cut.warc.gz"),))


def test_missing_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \*\.warc or \*\.arc file below it"):
        archive_files((str(tmp_path),))
    with pytest.raises(InputError, match=r"gone\.warc: no such file or folder"):
        archive_files((str(tmp_path / "gone.warc"),))


def test_pages_are_copied_from_real_archives(shared_data: Path, tmp_path: Path, engine: Engine) -> None:
    archive = shared_data / "warc" / "dolma-sample-0000.warc.gz"
    responses = [r for r in read_records(str(archive)) if r.kind == "response"]
    links = links_folder(tmp_path / "links", [link(url) for url in sorted({r.url for r in responses})])
    manifest = run(links, tmp_path / "pages", engine, fetch_from=(str(archive),))
    assert manifest.books.items_out >= 10
    by_url = {r.url: r for r in responses}
    for page in pages_of(tmp_path / "pages"):
        assert body_of(tmp_path / "pages", page) == http_response(by_url[page.final_url]).body


def test_number_of_index_buckets_does_not_change_the_output(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = [f"https://site.example/{i}" for i in range(60)]
    for number in range(5):
        captures = [capture(url, b"<p>%d" % number, 1 + number) for i, url in enumerate(urls) if i % 6 != number]
        (tmp_path / f"{number}.warc.gz").write_bytes(b"".join(captures))
    links = links_folder(tmp_path / "links", [link(url) for url in [*urls, "https://site.example/none"]])
    archives = tuple(str(path) for path in sorted(tmp_path.glob("*.gz")))
    run(links, tmp_path / "one", engine, fetch_from=archives)
    monkeypatch.setattr("pipeline.pages.archive_index.ARCHIVE_BYTES_PER_BUCKET", 1000)
    monkeypatch.setattr("pipeline.engine.shuffle.MAX_RUNS_PER_PART", 3)
    assert bucket_count(archives) > 3
    run(links, tmp_path / "many", engine, fetch_from=archives)
    assert len(pages_of(tmp_path / "one")) == 60
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


PAGE = b"<!doctype html><p>A page of words."
DIGEST = "WARC-Payload-Digest: sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ"
ORIGINAL = "http://a.example/"
REVISITS = {
    "digest, address and date": (DIGEST, f"WARC-Refers-To-Target-URI: {ORIGINAL}", "WARC-Refers-To-Date: 2016-05-01T00:00:00Z"),
    "address in brackets": (DIGEST, f"WARC-Refers-To-Target-URI: <{ORIGINAL}>"),
    "address and date": (f"WARC-Refers-To-Target-URI: {ORIGINAL}", "WARC-Refers-To-Date: 2016-05-01T00:00:00Z"),
    "id and address": (f"WARC-Refers-To-Target-URI: {ORIGINAL}", "WARC-Refers-To: <urn:uuid:1>"),
    "digest in lower case": (DIGEST.lower(), f"WARC-Refers-To-Target-URI: {ORIGINAL}"),
}


@pytest.mark.parametrize("name", REVISITS)
@pytest.mark.parametrize("block", [b"", http(b""), http(b"", status="304 Not Modified")])
def test_revisit_has_the_page_of_the_record_it_refers_to(tmp_path: Path, engine: Engine, name: str, block: bytes) -> None:
    later = "http://b.example/later"
    records = [
        record(ORIGINAL, http(PAGE), DIGEST, "WARC-Record-ID: <urn:uuid:1>"),
        record(later, block, *REVISITS[name], "WARC-Truncated: length", kind="revisit", date="2016-06-01T00:00:00Z"),
    ]
    assert outcomes(tmp_path, engine, [later], *records) == {later: PAGE}


def test_revisits_of_the_same_address_and_of_missing_records(tmp_path: Path, engine: Engine) -> None:
    same, redirect, missing, other = (f"http://{name}.example/" for name in ("same", "redirect", "missing", "other"))
    records = [
        record(same, http(PAGE), date="2016-04-01T00:00:00Z"),
        record(same, http(b"", status="304 Not Modified"), kind="revisit"),
        record(redirect, http(b"", f"Location: {same}", status="301 Moved"), DIGEST, kind="revisit"),
        record(missing, http(b""), DIGEST, kind="revisit"),
        record(other, http(b"", status="404 Gone"), DIGEST, kind="revisit"),
    ]
    expected = {same: PAGE, redirect: PAGE, missing: "not_archived", other: "http_404"}
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


def test_resource_is_a_page_and_addresses_of_other_schemes_are_skipped(tmp_path: Path, engine: Engine) -> None:
    url = "http://a.example/"
    records = [
        record(url, PAGE, "Content-Type: text/html; charset=utf-8", kind="resource"),
        record("dns:a.example", b"20160501000000", "Content-Type: text/dns"),
        record("urn:x:log", b"log", kind="resource"),
        record("metadata://a/b", b"log", kind="metadata"),
    ]
    assert outcomes(tmp_path, engine, [url], *records) == {url: PAGE}


def test_truncated_record_is_a_drop_unless_another_is_whole(tmp_path: Path, engine: Engine) -> None:
    cut, both, gone, moved = (f"http://{name}.example/" for name in ("cut", "both", "gone", "moved"))
    chunked = http(b"fff\r\n" + PAGE, "Transfer-Encoding: chunked")
    records = [
        record(cut, chunked, "WARC-Truncated: length"),
        record(both, http(PAGE[:9]), "WARC-Truncated: time"),
        record(both, http(PAGE), date="2010"),
        record(gone, http(b"cut", status="404 Not Found"), "WARC-Truncated: disconnect"),
        record(moved, http(b"cut", f"Location: {both}", status="302 Found"), "WARC-Truncated: length"),
    ]
    expected = {cut: "truncated", both: PAGE, gone: "http_404", moved: PAGE}
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


@pytest.mark.parametrize(
    "status", ["304 Not Modified", "206 Partial Content", "204 No Content", "300 Choices", "404 No", "503 Busy"]
)
def test_whole_page_is_taken_before_a_nearer_answer_without_one(tmp_path: Path, engine: Engine, status: str) -> None:
    url = "http://a.example/"
    records = [record(url, http(PAGE), date="2012-01"), record(url, http(PAGE[:9], status=status))]
    assert outcomes(tmp_path, engine, [url], *records) == {url: PAGE}


@pytest.mark.parametrize("days", [(1, 3), (3, 1)])
@pytest.mark.parametrize(
    ("target", "archived"),
    [
        ("https://h.example.com/p", "https://www.h.example.com/p"),
        ("https://h.example.com/p", "https://h.example.com/p"),
        ("https://www.h.example.com/p", "https://h.example.com/p"),
        ("http://h.example.com/p/", "https://h.example.com/p/"),
        ("http://www.h.example.com/p", "http://h.example.com/p/"),
        ("http://h.example.com/p?utm_source=x", "https://h.example.com/p"),
    ],
)
def test_redirect_to_another_spelling_finds_the_page(
    tmp_path: Path, engine: Engine, target: str, archived: str, days: tuple[int, int]
) -> None:
    url = "http://h.example.com/p"
    records = [
        record(url, http(b"", f"Location: {target}", status="301 Moved"), date=f"2016-05-0{days[0]}"),
        record(archived, http(PAGE), date=f"2016-05-0{days[1]}"),
    ]
    assert outcomes(tmp_path, engine, [url], *records) == {url: PAGE}


def test_bad_record_gives_way_to_another_capture(tmp_path: Path, engine: Engine) -> None:
    url, alone = "http://a.example/", "http://b.example/"
    bad = http(b"\x1f\x8b" + bytes(40), "Content-Encoding: gzip")
    records = [record(url, bad), record(url, http(PAGE), date="2012"), record(alone, bad)]
    assert outcomes(tmp_path, engine, [url, alone], *records) == {url: PAGE, alone: "bad_record"}


def test_own_pages_whose_addresses_hold_keys_are_found_again(tmp_path: Path, engine: Engine) -> None:
    queries = ("id=3", "sid=1", "sid=2", "session=2013", "key=0Ab", "api_key=x", "token=1&token=2", "auth=a;b=2", "pwd=", "SIG=9")
    web: dict[str, object] = {f"https://a.example/p?{query}": b"<p>" + query.encode() for query in queries}
    links = links_folder(tmp_path / "links", [link(url) for url in web])
    with ReplayServer(dict(web)) as server:  # type: ignore[arg-type]
        run(links, tmp_path / "live", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
    run(links, tmp_path / "again", engine, fetch_from=(str(tmp_path / "live"),))
    for folder in (tmp_path / "live", tmp_path / "again"):
        assert {page.url: body_of(folder, page) for page in pages_of(folder)} == {redact(url): body for url, body in web.items()}
    assert {page.final_url for page in pages_of(tmp_path / "live")} == {page.final_url for page in pages_of(tmp_path / "again")}


def test_skipped_files_of_a_folder_are_counted(tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "archives"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.WARC.GZ", "b.warc", "deep/c.Arc.gz", "d.warc.zst"):
        (folder / name).write_bytes(b"")
    (folder / "a.WARC.GZ").write_bytes(record("http://a.example/", http(PAGE)) + record("http://b.example/", b"no answer"))
    for name in ("x.cdx", "deep/y.warc.gz.open", "z.warc.wet.gz"):
        (folder / name).write_bytes(b"words")
    assert (len(archive_files((str(folder),))), skipped_files((str(folder),))) == (4, 3)
    links = links_folder(tmp_path / "links", [link("http://a.example/")])
    with caplog.at_level("INFO"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(folder),))
    assert "pages: kept 1 of 1 links (3 files of other kinds and 1 bad records skipped)" in caplog.text


@pytest.mark.parametrize(
    ("data", "kind"), [(b"PK\x03\x04" + bytes(9), "a ZIP file"), (gzip.compress(b'{"a": 1}', mtime=0), "JSON, not a WARC")]
)
def test_file_of_another_kind_is_named(tmp_path: Path, engine: Engine, data: bytes, kind: str) -> None:
    (tmp_path / "x.warc.gz").write_bytes(data)
    links = links_folder(tmp_path / "links", [link("http://a.example/")])
    with pytest.raises(InputError, match=rf"x\.warc\.gz: {kind}"):
        run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "x.warc.gz"),))
    (tmp_path / "x.warc.wet.gz").write_bytes(data)
    with pytest.raises(InputError, match="a WET or WAT file"):
        archive_files((str(tmp_path / "x.warc.wet.gz"),))

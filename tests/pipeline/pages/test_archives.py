import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers.replay import ReplayServer
from servers.stage_runs import body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.archive_index import archive_files, bucket_count
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_records
from pipeline.pages.warc_writer import exchange_members
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
    with pytest.raises(InputError, match=r"no \*\.warc or \*\.warc\.gz below it"):
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

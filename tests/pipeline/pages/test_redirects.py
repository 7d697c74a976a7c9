"""Refreshes and redirects in a crawl and in archives: one chain, one count, one set of checks."""

import gzip
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from servers.hostile import Case, HostileServer, full
from servers.outcomes import crawl
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import body_of, contents, drops_of, link, links_folder, pages_of, pages_settings, run

from pipeline.engine.runner import Engine
from pipeline.pages.client import RequestLimits
from pipeline.pages.transform import Fetch
from pipeline.pages.warc_reader import read_records
from pipeline.storage.manifest import StageManifest


def meta(url: str, seconds: int = 0) -> bytes:
    return f'<html><head><meta http-equiv="refresh" content="{seconds}; url={url}"></head><p>Moved</html>'.encode()


def header(url: str, seconds: int = 0, body: bytes = b"<p>Moved") -> Reply:
    return Reply(body, headers=(("Refresh", f"{seconds};URL={url}"),))


END = b"<html><p>The page"
WEB: dict[str, bytes | Reply | None] = {
    "https://a.example/meta": meta("/end"),
    "https://a.example/meta-5": meta("https://a.example/end", 5),
    "https://a.example/header": header("/end"),
    "https://a.example/empty": header("/end", body=b""),
    "https://a.example/other-host": meta("https://b.example/end"),
    "https://a.example/other-scheme": meta("http://a.example/end"),
    "https://a.example/then-status": meta("https://b.example/to-end"),
    "https://a.example/after-status": Reply(status=302, headers=(("Location", "https://b.example/to-meta"),)),
    "https://a.example/self": meta("/self"),
    "https://a.example/self-later": meta("", 300),
    "https://a.example/late": meta("/end", 600),
    "https://a.example/nowhere": meta("mailto:me@a.example"),
    "https://a.example/private": meta("http://10.0.0.1/end"),
    "https://a.example/forbidden": meta("https://c.example/private/end"),
    "https://a.example/missing": meta("https://b.example/gone"),
    "https://a.example/loop": meta("https://b.example/loop"),
    "https://a.example/404": Reply(meta("/end"), status=404),
    "https://a.example/end": END,
    "http://a.example/end": END,
    "https://b.example/end": END,
    "https://b.example/to-end": Reply(status=301, headers=(("Location", "/end"),)),
    "https://b.example/to-meta": meta("https://a.example/end"),
    "https://b.example/loop": meta("https://a.example/loop"),
    "https://b.example/gone": NOT_FOUND,
    "https://c.example/robots.txt": Reply(b"User-agent: *\nDisallow: /private", "text/plain"),
    "https://c.example/private/end": END,
}
LINKED = [url for url in WEB if url.startswith("https://a.example/") and not url.endswith("/end")]
DROPPED = {
    "https://a.example/private": "forbidden_address",
    "https://a.example/forbidden": "robots",
    "https://a.example/missing": "http_404",
    "https://a.example/loop": "too_many_redirects",
    "https://a.example/404": "http_404",
}
STAYING = {f"https://a.example/{name}" for name in ("self", "self-later", "late", "nowhere")}


def test_refresh_to_another_page_is_a_redirect(tmp_path: Path, engine: Engine) -> None:
    """Over hosts of several parts, schemes, robots.txt, addresses and redirects by status."""
    links = links_folder(tmp_path / "links", *([link(url)] for url in LINKED), [link("https://b.example/to-end")])
    with ReplayServer(WEB) as web:
        run(links, tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
        assert web.hits["https://c.example/private/end"] == 0
    assert drops_of(tmp_path / "pages") == DROPPED
    pages = {page.url: page for page in pages_of(tmp_path / "pages")}
    for url in set(LINKED) - set(DROPPED):
        body, final = body_of(tmp_path / "pages", pages[url]), pages[url].final_url
        assert (body == END, final.endswith("/end")) == (url not in STAYING, url not in STAYING), url
    archive = {record.url for path in (tmp_path / "pages").glob("*.warc.gz") for record in read_records(str(path))}
    assert archive >= set(LINKED) - set(DROPPED)  # the pages that sent on are kept, as redirects are


def test_transform_follows_refreshes_as_the_stage_does(tmp_path: Path, engine: Engine) -> None:
    links = [link(url) for url in LINKED]
    with ReplayServer(WEB) as web:
        settings = pages_settings(proxy=web.proxy_url, ca_bundle=web.ca_bundle)
        run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
        with beam.Pipeline() as pipeline:
            outputs = pipeline | beam.Create(links) | Fetch(settings, 4)
            finals = [(page.url, page.final_url) for page in pages_of(tmp_path / "pages")]
            assert_that(outputs.pages | beam.Map(lambda page: (page.url, page.final_url)), equal_to(finals), "Pages equal")
            reasons = list(drops_of(tmp_path / "pages").items())
            assert_that(outputs.drops | beam.Map(lambda drop: (drop.item, str(drop.reason))), equal_to(reasons), "Drops equal")


def chain(length: int) -> dict[str, bytes | Reply | None]:
    """Redirects by status and by refresh in turn, from host to host, to a page."""
    pages: dict[str, bytes | Reply | None] = {f"https://h{length}.example/": END}
    for number in range(length):
        target = f"https://h{number + 1}.example/"
        pages[f"https://h{number}.example/"] = meta(target) if number % 2 else Reply(status=302, headers=(("Location", target),))
    return pages


@pytest.mark.parametrize("max_redirects", [0, 2, 7])
def test_number_of_redirects_is_a_flag(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, max_redirects: int
) -> None:
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 2)  # redirects go from part to part, round by round
    links = links_folder(tmp_path / "links", *([link(f"https://h{number}.example/")] for number in range(9)))
    with ReplayServer(chain(8)) as web:
        settings = {"proxy": web.proxy_url, "ca_bundle": web.ca_bundle, "max_redirects": max_redirects}
        manifest = run(links, tmp_path / "pages", engine, **settings)
    assert manifest.settings["max_redirects"] == max_redirects
    reached = {f"https://h{number}.example/" for number in range(9) if 8 - number <= max_redirects}
    assert {page.url for page in pages_of(tmp_path / "pages")} == reached
    assert set(drops_of(tmp_path / "pages").values()) <= {"too_many_redirects"}


def test_five_redirects_are_followed_unless_asked_otherwise(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", [link("https://h2.example/"), link("https://h3.example/")])
    with ReplayServer(chain(8)) as web:
        run(links, tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
    assert [page.url for page in pages_of(tmp_path / "pages")] == ["https://h3.example/"]
    assert drops_of(tmp_path / "pages") == {"https://h2.example/": "too_many_redirects"}
    assert StageManifest.load(str(tmp_path / "pages")).settings["max_redirects"] == 5


def test_transform_follows_as_many_redirects_as_the_settings_say() -> None:
    links = [link("https://h0.example/"), link("https://h1.example/"), link("https://h2.example/")]
    with ReplayServer(chain(8)) as web, beam.Pipeline() as pipeline:
        settings = pages_settings(proxy=web.proxy_url, ca_bundle=web.ca_bundle, max_redirects=7)
        outputs = pipeline | beam.Create(links) | Fetch(settings, 4)
        assert_that(outputs.pages | beam.Map(lambda page: page.url), equal_to([one.url for one in links[1:]]), "Pages equal")


def record(url: str, reply: bytes | Reply, missing_bytes: int = 0) -> bytes:
    reply = reply if isinstance(reply, Reply) else Reply(reply)
    size = len(reply.body)
    block = reply.to_bytes().replace(b"Content-Length: %d" % size, b"Content-Length: %d" % (size + missing_bytes))
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Date: 2016-05-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\n"
    return gzip.compress(f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n", mtime=0)


def test_refreshes_in_archives_are_redirects(tmp_path: Path, engine: Engine) -> None:
    archived = {url: reply for url, reply in WEB.items() if reply and "c.example" not in url}
    (tmp_path / "x.warc.gz").write_bytes(b"".join(record(url, reply) for url, reply in archived.items()))
    links = links_folder(tmp_path / "links", [link(url) for url in LINKED])
    run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "x.warc.gz"),))
    in_archives = {"https://a.example/private": "not_archived", "https://a.example/forbidden": "not_archived"}
    assert drops_of(tmp_path / "pages") == DROPPED | in_archives
    pages = {page.url: page.final_url for page in pages_of(tmp_path / "pages")}
    assert {url for url, final in pages.items() if url == final} == STAYING
    run(links, tmp_path / "none", engine, fetch_from=(str(tmp_path / "x.warc.gz"),), max_redirects=0)
    assert {page.url for page in pages_of(tmp_path / "none")} == STAYING


def test_archived_redirect_without_its_body_is_followed(tmp_path: Path, engine: Engine) -> None:
    """A page that is shorter than its length is truncated, and so is one that would send its reader on."""
    replies = {
        "https://a.example/moved": Reply(status=301, headers=(("Location", "/end"),)),
        "https://a.example/sends-on": Reply(meta("/end")),
        "https://a.example/short": Reply(END),
    }
    records = [record(url, reply, 9) for url, reply in replies.items()]
    (tmp_path / "x.warc.gz").write_bytes(b"".join([*records, record("https://a.example/end", END)]))
    links = links_folder(tmp_path / "links", [link(url) for url in replies])
    run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "x.warc.gz"),))
    assert [page.url for page in pages_of(tmp_path / "pages")] == ["https://a.example/moved"]
    assert set(drops_of(tmp_path / "pages").values()) == {"truncated"}


def test_own_pages_that_refresh_are_the_same_pages_from_their_archive(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", [link(url) for url in LINKED])
    with ReplayServer(WEB) as web:
        run(links, tmp_path / "live", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
    run(links, tmp_path / "again", engine, fetch_from=(str(tmp_path / "live"),))
    finals = [{page.url: (page.final_url, page.sha256) for page in pages_of(tmp_path / name)} for name in ("live", "again")]
    assert finals[0] == finals[1]
    run(links, tmp_path / "twice", engine, fetch_from=(str(tmp_path / "live"),))
    assert contents(tmp_path / "twice") == contents(tmp_path / "again")


def test_addresses_of_refreshes_are_checked() -> None:
    """A crawl without a proxy, which looks names up itself: no connection is made to a private address."""
    cases = {
        "by_meta": Case(full(body=meta("http://10.1.2.3/")), "forbidden_address"),
        "by_header": Case(full("Refresh: 0; url=http://169.254.169.254/"), "forbidden_address"),
        "by_number": Case(full(body=meta("http://2130706433/")), "forbidden_address"),
        "by_port": Case(full(body=meta("http://by-meta.test:25/")), "bad_url"),
    }
    with HostileServer(cases) as server:
        urls = {server.url(name): case.expected for name, case in cases.items()}
        found = crawl(server, list(urls), 4, RequestLimits(4.0))
    words = {url: found.word(url) for url in urls}
    assert {word for url, word in words.items() if "by-port" not in url} == {"forbidden_address"}
    assert words[server.url("by_port")] != "page"

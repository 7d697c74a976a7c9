import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import NOON, body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import bucket_of, shares
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest

WEB: dict[str, bytes | Reply | None] = {
    "https://one.example/a": b"<html><p>One",
    "http://one.example/plain": Reply(b"plain words", "text/plain; charset=ISO-8859-1"),
    "http://two.example/old": Reply(status=301, headers=(("Location", "https://two.example/new"),)),
    "https://two.example/new": b"<html><p>New",
    "https://two.example/paper.html": Reply(b"%PDF-1.4", "text/html"),
    "https://two.example/gone": NOT_FOUND,
    "https://three.example/": None,
    "https://four.example/robots.txt": Reply(b"User-agent: *\nDisallow: /private", "text/plain"),
    "https://four.example/private/x": b"<html><p>Private",
    "https://four.example/public": b"<html><p>Public",
}
LINKED = [url for url in WEB if not url.endswith(("robots.txt", "/new"))]
DROPPED = {
    "https://two.example/paper.html": "not_html",
    "https://two.example/gone": "http_404",
    "https://three.example/": "connection",
    "https://four.example/private/x": "robots",
}


def test_every_link_is_a_page_or_a_drop_with_its_reason(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", [link(url, "abc", "def") for url in LINKED])
    with ReplayServer(WEB) as web:
        manifest = run(links, tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
    assert drops_of(tmp_path / "pages") == DROPPED
    pages = {page.url: page for page in pages_of(tmp_path / "pages")}
    assert set(pages) == set(LINKED) - set(DROPPED)
    assert (manifest.books.items_in, manifest.books.items_out) == (len(LINKED), len(pages))
    assert body_of(tmp_path / "pages", pages["https://one.example/a"]) == b"<html><p>One"
    assert (pages["http://one.example/plain"].media_type, pages["http://one.example/plain"].charset) == (
        "text/plain",
        "iso-8859-1",
    )
    moved = pages["http://two.example/old"]
    assert (moved.final_url, body_of(tmp_path / "pages", moved)) == ("https://two.example/new", b"<html><p>New")
    assert moved.fetched_at == datetime.fromisoformat(NOON)
    assert web.asked["https://four.example/private/x"] == 0
    timings = json.loads((tmp_path / "pages" / "run.json").read_bytes())["timings"]
    answered = (url for url, reply in WEB.items() if reply is not None and not url.endswith("robots.txt"))
    assert sum(timings.values()) == sum(web.asked[url] for url in answered) + 1  # and one request whose connection failed


def test_bytes_do_not_depend_on_parts_and_threads(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", *([link(url)] for url in LINKED))
    with ReplayServer(WEB) as web:
        for name, threads in (("one", 1), ("many", 16)):
            run(links, tmp_path / name, engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle, threads=threads)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_second_run_makes_no_request(tmp_path: Path, engine: Engine) -> None:
    links = links_folder(tmp_path / "links", [link("https://one.example/a")])
    with ReplayServer(WEB) as web:
        run(links, tmp_path / "pages", engine, proxy=web.proxy_url, ca_bundle=web.ca_bundle)
        before = sum(web.asked.values())
        run(links, tmp_path / "pages", engine, proxy="http://127.0.0.1:9", ca_bundle=None)
        assert sum(web.asked.values()) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allow_addresses": ("127.0.0.0/33",)}, "--allow_addresses 127.0.0.0/33: not a network"),
        ({"threads": 0}, "--threads 0: must be more than 0"),
        ({"host_delay": -1.0}, "--host_delay -1.0: must be 0 or more"),
        ({"fetched_at": "yesterday"}, "--fetched_at yesterday: not an instant such as 2026"),
        ({"proxy": "ftp://me:secret@x"}, "--proxy ftp://x: not of the form"),
        ({"ca_bundle": "/nowhere.pem"}, "--ca_bundle /nowhere.pem: no such file"),
        ({"contact": "a\nb"}, "--contact: printable ASCII only"),
    ],
)
def test_invalid_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        PagesSettings(**settings)  # type: ignore[arg-type]


def test_shards_join_until_a_part_is_full() -> None:
    shards = [("a", 5), ("b", 4), ("c", 3), ("d", 20), ("e", 1)]
    joined = [(share.shards, share.first, share.last, links) for share, links in shares(shards, 10)]
    assert joined == [(("a", "b"), 0, 2, 9), (("c",), 2, 3, 3), (("d",), 3, 4, 20), (("e",), 4, 5, 1)]


@pytest.mark.slow
def test_redirects_to_hosts_of_other_parts_are_followed_there(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of redirects over hosts of many buckets: the part that owns a host makes all of its requests."""
    hosts = [f"h{number}.example" for number in range(12)]
    web: dict[str, bytes | Reply | None] = {f"https://{host}/": b"<p>At " + host.encode() for host in hosts}
    for host, other in pairwise(hosts):
        web[f"https://{host}/to/1"] = Reply(status=301, headers=(("Location", f"https://{other}/"),))
        web[f"https://{host}/to/2"] = Reply(status=302, headers=(("Location", f"https://{other}/to/1"),))
        web[f"https://{host}/to/9"] = Reply(status=302, headers=(("Location", f"https://{other}/to/9"),))
    linked = [url for url in web if "/to/" in url]
    buckets: list[list[Link]] = [[] for _ in range(8)]
    for url in linked:
        buckets[bucket_of(url, 8)].append(link(url, "abc"))
    links = links_folder(tmp_path / "links", *buckets)
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 1)
    with ReplayServer(web) as server:
        manifest = run(links, tmp_path / "pages", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
        run(links, tmp_path / "twice", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle, threads=2)
        monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 1000)
        run(links, tmp_path / "one", engine, proxy=server.proxy_url, ca_bundle=server.ca_bundle)
    assert manifest.books.items_in == len(linked)
    assert any("-r2" in entry.name for entry in manifest.files)
    assert not any("-r" in entry.name for entry in StageManifest.load(str(tmp_path / "one")).files)
    pages = {page.url: page for page in pages_of(tmp_path / "pages")}
    assert pages["https://h3.example/to/2"].final_url == "https://h5.example/"
    assert {url: body_of(tmp_path / "pages", page) for url, page in pages.items()} == {
        url: body_of(tmp_path / "one", page) for url, page in {p.url: p for p in pages_of(tmp_path / "one")}.items()
    }
    assert drops_of(tmp_path / "pages") == drops_of(tmp_path / "one")
    assert contents(tmp_path / "pages") == contents(tmp_path / "twice")

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import NOON, body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.share import bucket_of
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError

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
    assert web.hits["https://four.example/private/x"] == 0
    timings = json.loads((tmp_path / "pages" / "run.json").read_bytes())["timings"]
    answered = (url for url, reply in WEB.items() if reply is not None and not url.endswith("robots.txt"))
    assert sum(timings.values()) == sum(web.hits[url] for url in answered) + 1  # and one request whose connection failed


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
        before = sum(web.hits.values())
        run(links, tmp_path / "pages", engine, proxy="http://127.0.0.1:9", ca_bundle=None)
        assert sum(web.hits.values()) == before


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


@pytest.mark.parametrize(("most", "fits"), [(26, False), (27, True), (40, True), (60, True), (300, True)])
def test_files_of_all_rounds_of_redirects_have_room_in_the_manifest(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, most: int, *, fits: bool
) -> None:
    """Eight parts write three files each, and as many again in each round; a round has fewer parts where that is too many."""
    hosts = {bucket_of(f"https://h{number}.example/", 8): f"https://h{number}.example" for number in range(99)}
    web: dict[str, bytes | Reply | None] = {}
    for bucket, host in hosts.items():
        web |= {
            f"{host}/{n}": Reply(status=301, headers=(("Location", f"{hosts[(bucket + 1) % 8]}/{n - 1}"),)) for n in range(1, 7)
        }
        web[f"{host}/0"] = b"<p>At " + host.encode()
    links = links_folder(tmp_path / "links", *([link(f"{hosts[bucket]}/6")] for bucket in range(8)))
    for name, value in (
        ("storage.manifest.MOST_FILES", most),
        ("pages.stage.MOST_FILES", most),
        ("pages.stage.LINKS_PER_PART", 1),
    ):
        monkeypatch.setattr(f"pipeline.{name}", value)
    with ReplayServer(web) as server:
        settings = {"proxy": server.proxy_url, "ca_bundle": server.ca_bundle, "max_redirects": 7}
        if fits:
            assert len(run(links, tmp_path / "pages", engine, **settings).files) <= most
            assert {page.url for page in pages_of(tmp_path / "pages")} == {f"{host}/6" for host in hosts.values()}
        else:
            with pytest.raises(InputError, match="8 parts would make up to 27 files; a manifest has room for 26"):
                run(links, tmp_path / "pages", engine, **settings)
            assert not server.hits

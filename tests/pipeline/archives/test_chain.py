"""Several sources in turn: each link's page is the first source's that has one, the books balance, and nothing depends on the run."""

import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from servers.archives_of_two import wayback
from servers.crawl_archive import MadeCrawl, Request, Shot, range_server, write_cdxj, write_columnar
from servers.stage_runs import body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest

TESTS = Path(__file__).parents[2]
AT = datetime(2015, 9, 1, tzinfo=UTC)
SOURCES = ("commoncrawl", "wayback", "live")


@pytest.mark.parametrize("order", [*permutations(SOURCES), ("commoncrawl", "live"), ("wayback", "warc")], ids="-".join)
def test_first_source_that_has_a_page_gives_it(tmp_path: Path, engine: Engine, order: tuple[str, ...]) -> None:
    crawl = MadeCrawl("CC-MAIN-2015-35", [Shot(f"http://a.example/{n}", AT) for n in range(4)]).write(tmp_path / "archive")
    index = write_cdxj(tmp_path / "index", [crawl])
    own = MadeCrawl("CC-MAIN-2015-40", [Shot(f"http://a.example/{n}", AT) for n in (0, 1, 5)]).write(tmp_path / "own")
    with range_server(tmp_path / "archive", wayback(AT, tmp_path)) as server:  # type: ignore[arg-type]
        urls = [f"http://a.example/{n}" for n in range(8)] + [f"{server.url}live/{n}" for n in range(2)]
        has = {
            "commoncrawl": set(urls[:4]),
            "wayback": {url for n, url in enumerate(urls[:8]) if n % 5},
            "live": set(urls[8:]),
            "warc": {urls[0], urls[1], urls[5]},
        }
        given: dict[str, object] = {"wayback": f"{server.url}web/", "wayback_cdx": f"{server.url}cdx", "source": order}
        given |= {"wayback_rate": 500.0, "commoncrawl_rate": 500.0, "allow_addresses": ("127.0.0.0/8",)}
        given |= {"archive_index": tuple(index), "commoncrawl": server.url} if "commoncrawl" in order else {}
        given |= {"fetch_from": (str(tmp_path / "own" / own.shots[0].warc),)} if "warc" in order else {}
        links = links_folder(tmp_path / "links", [link(url, at=AT) for url in urls])
        manifest = run(links, tmp_path / "pages", engine, stop_on_outage=False, proxy=None, **given)
    wanted = {url: next(source for source in order if url in has[source]) for url in urls if any(url in has[s] for s in order)}
    pages = pages_of(tmp_path / "pages")
    assert {page.url: page.source for page in pages} == wanted
    drops = drops_of(tmp_path / "pages")
    assert drops.keys() == set(urls) - wanted.keys()
    assert manifest.books.items_in == len(urls) == len(pages) + len(drops)
    assert Counter(drops.values()) == manifest.books.dropped
    if order == SOURCES:
        (path,) = (entry.name for entry in manifest.of_kind("drops"))
        rows = [Drop.from_row(row) for row in files.read_table(str(tmp_path / "pages" / path)).to_pylist()]
        assert all("before: not_archived, not_archived" in (row.detail or "") for row in rows)


@pytest.mark.slow
def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    crawls = [
        MadeCrawl(name, [Shot(f"http://a.example/{n}", AT + timedelta(days=n - shift)) for n in range(9)], per_file=2)
        for shift, name in enumerate(("CC-MAIN-2015-32", "CC-MAIN-2015-35", "CC-MAIN-2015-40"))
    ]
    index = write_columnar(tmp_path / "index", [crawl.write(tmp_path / "archive") for crawl in crawls])
    links = links_folder(tmp_path / "links", *[[link(f"http://a.example/{n}", at=AT)] for n in range(12)])
    given = {"archive_index": tuple(index), "commoncrawl": str(tmp_path / "archive"), "source": ("commoncrawl",)}
    for workers in (1, 2):
        run(links, tmp_path / f"pages-{workers}", Engine(workers=workers), **given)
    assert contents(tmp_path / "pages-1") == contents(tmp_path / "pages-2")
    assert StageManifest.load(str(tmp_path / "pages-2")).books.items_out == 9


def test_a_second_run_has_nothing_to_do(tmp_path: Path, engine: Engine) -> None:
    crawl = MadeCrawl("CC-MAIN-2015-35", [Shot("http://a.example/1", AT)]).write(tmp_path / "archive")
    given = {"archive_index": tuple(write_cdxj(tmp_path / "index", [crawl])), "commoncrawl": str(tmp_path / "archive")}
    links = links_folder(tmp_path / "links", [link("http://a.example/1", at=AT)])
    first = run(links, tmp_path / "pages", engine, **given)
    before = contents(tmp_path / "pages")
    assert run(links, tmp_path / "pages", engine, **given) == first
    assert contents(tmp_path / "pages") == before


@pytest.mark.parametrize("order", [("commoncrawl", "wayback"), ("wayback",)], ids="-".join)
def test_retry_failed_asks_only_what_may_pass(tmp_path: Path, engine: Engine, order: tuple[str, ...]) -> None:
    crawl = MadeCrawl("CC-MAIN-2015-35", [Shot(f"http://a.example/{n}", AT) for n in range(2)]).write(tmp_path / "archive")
    index = write_cdxj(tmp_path / "index", [crawl])
    links = links_folder(tmp_path / "links", [link(f"http://a.example/{n}", at=AT) for n in range(8)])
    whole = wayback(AT, tmp_path)

    def refuses_some(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        refused = request.path.startswith("/web/") and request.path.endswith(("3", "6"))
        return (503, {}, b"later") if refused else whole(request)  # type: ignore[operator,no-any-return]

    given: dict[str, object] = {"source": order, "wayback_rate": 900.0, "commoncrawl_rate": 900.0}
    given |= {"archive_index": tuple(index)} if "commoncrawl" in order else {}
    refused = {f"http://a.example/{n}" for n in (3, 6)}
    with range_server(tmp_path / "archive", refuses_some) as server:
        given |= {"wayback": f"{server.url}web/", "wayback_cdx": f"{server.url}cdx", "commoncrawl": server.url}
        given |= {"allow_addresses": ("127.0.0.0/8",)}
        first = run(links, tmp_path / "pages", engine, **given)
        assert {url for url, reason in drops_of(tmp_path / "pages").items() if reason == "archive_refused"} == refused
        before = len(server.requests)
        server.fault = whole  # type: ignore[assignment]
        second = run(links, tmp_path / "pages", engine, retry_failed=True, **given)
        asked = [request.path for request in server.requests[before:]]
    assert len(asked) == 4
    assert second.books.items_out == first.books.items_out + 2
    assert not refused & drops_of(tmp_path / "pages").keys()
    assert len(pages_of(tmp_path / "pages")) == second.books.items_out
    assert all(body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages"))


def killed_runs(folder: Path, kills: int) -> int:
    command = [sys.executable, str(TESTS / "killed_archives.py"), str(folder), str(kills)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


@pytest.mark.slow
def test_kills_at_many_moments_change_no_byte(tmp_path: Path) -> None:
    kills = 20 if os.environ.get("WEBTEXT_FULL") else 6
    assert killed_runs(tmp_path, kills) >= kills

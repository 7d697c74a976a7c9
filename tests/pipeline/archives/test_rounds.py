"""Pages of Common Crawl: for each link the capture that a search through all captures names, whatever the index's format."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers.crawl_archive import (
    MadeCrawl,
    Shot,
    made_crawls,
    page_url,
    range_server,
    wanted_shot,
    write_cdxj,
    write_columnar,
    write_zipnum,
)
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest

LOOPBACK = {"allow_addresses": ("127.0.0.0/8",), "commoncrawl_rate": 1000.0, "source": ("commoncrawl",)}
INDEXES = {"columnar": write_columnar, "plain": write_cdxj, "zipnum": write_zipnum}
WINDOWS = [
    ("submission", 3650, "either"),
    ("submission", 200, "before"),
    ("submission", 400, "after"),
    ("2015-09-01", 30, "either"),
]


def made_links(pages: int = 60) -> list[Link]:
    """A link to each page, submitted between 2012 and 2020."""
    return [link(page_url(page), at=datetime(2012, 1, 1, tzinfo=UTC) + timedelta(days=47 * page)) for page in range(pages)]


def expected(links: Sequence[Link], crawls: Sequence[MadeCrawl], as_of: str, days: int, side: str) -> dict[str, bytes]:
    shots = [shot for crawl in crawls for shot in crawl.shots]
    found = {}
    for one in links:
        at = one.submitted_at if as_of == "submission" else datetime.fromisoformat(f"{as_of}T12:00:00+00:00")
        assert at
        if shot := wanted_shot(one.url, at, shots, days, side):
            found[one.url] = shot.body
    return found


@pytest.mark.parametrize("kind", INDEXES)
@pytest.mark.parametrize(("as_of", "days", "side"), WINDOWS)
def test_capture_of_the_day(tmp_path: Path, engine: Engine, kind: str, as_of: str, days: int, side: str) -> None:
    crawls = [crawl.write(tmp_path / "archive") for crawl in made_crawls()]
    write: Callable[..., list[str]] = INDEXES[kind]
    index = write(tmp_path / "index", crawls)
    links = made_links()
    folder = tmp_path / "pages"
    settings = {"archive_index": tuple(index), "as_of": as_of, "within": days, "side": side}
    with range_server(tmp_path / "archive") as server:
        run(links_folder(tmp_path / "links", links), folder, engine, commoncrawl=server.url, **settings, **LOOPBACK)
    pages = pages_of(folder)
    wanted = expected(links, crawls, as_of, days, side)
    assert {page.url: body_of(folder, page) for page in pages} == wanted
    drops = drops_of(folder)
    assert drops.keys() == {one.url for one in links} - wanted.keys()
    assert set(drops.values()) <= {"not_archived", "outside_window", "http_404", "truncated"}
    assert len(wanted) > 5
    by_body = {shot.body: shot for crawl in crawls for shot in crawl.shots}
    for page in pages:
        shot = by_body[body_of(folder, page)]
        assert (page.source, page.captured_at, page.fetched_at) == ("commoncrawl", shot.at, shot.at)
        assert (page.archive_file, page.archive_offset, page.digest) == (shot.warc, shot.offset, f"sha1:{shot.digest}")
        assert page.submitted_at
        assert page.distance_days == pytest.approx((shot.at - page.submitted_at).total_seconds() / 86_400)


def test_books_of_captures(tmp_path: Path, engine: Engine) -> None:
    at = datetime(2015, 9, 1, tzinfo=UTC)
    crawl = MadeCrawl(
        "CC-MAIN-2015-35",
        [
            Shot("http://a.example/far", at + timedelta(days=40)),
            Shot("http://a.example/cut", at, truncated="length"),
            Shot("http://a.example/404", at, status=404),
            Shot("http://a.example/cut-and-whole", at, truncated="length"),
            Shot("http://a.example/cut-and-whole", at + timedelta(days=9)),
            Shot("http://a.example/Case", at),
            Shot("http://a.example/old", at, status=301, location="https://www.a.example/new"),
            Shot("https://www.a.example/new", at + timedelta(days=1)),
            Shot("http://a.example/lost", at, status=302, location="/nowhere"),
            Shot("http://a.example/tls", at, status=301, location="https://a.example/tls"),
            Shot("https://a.example/tls", at + timedelta(seconds=1)),
            Shot("http://a.example/round", at, status=301, location="http://a.example/round"),
        ],
    ).write(tmp_path / "archive")
    index = write_cdxj(tmp_path / "index", [crawl])
    names = ["far", "cut", "404", "cut-and-whole", "case", "Case", "old", "lost", "tls", "round", "never"]
    links = [link(f"http://a.example/{name}", at=at) for name in names]
    folder = tmp_path / "pages"
    settings = {**LOOPBACK, "commoncrawl": str(tmp_path / "archive"), "archive_index": tuple(index), "within": 30}
    manifest = run(links_folder(tmp_path / "links", links), folder, engine, **settings)
    assert {url.rpartition("/")[2]: reason for url, reason in drops_of(folder).items()} == {
        "far": "outside_window",
        "cut": "truncated",
        "404": "http_404",
        "case": "not_archived",
        "lost": "not_archived",
        "round": "not_archived",
        "never": "not_archived",
    }
    pages = {page.url.rpartition("/")[2]: page for page in pages_of(folder)}
    assert sorted(pages) == ["Case", "cut-and-whole", "old", "tls"]
    assert pages["old"].final_url == "https://www.a.example/new"
    assert pages["old"].redirects == ("http://a.example/old",)
    assert pages["tls"].final_url == "https://a.example/tls"
    assert pages["cut-and-whole"].distance_days == 9
    assert manifest.books.items_in == len(links) == manifest.books.items_out + sum(manifest.books.dropped.values())
    assert StageManifest.load(str(folder)).books == manifest.books

"""Real pages, an index by the Internet Archive's own indexer, and an object store."""

import subprocess
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from archive_tools import archive_tools
from servers.crawl_archive import MadeCrawl, Shot, made_crawls, page_url, range_server, wanted_shot, write_columnar
from servers.objects import ACCESS, object_store
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.records import Link

LOOPBACK = {"allow_addresses": ("127.0.0.0/8",), "commoncrawl_rate": 1000.0, "source": ("commoncrawl",)}
STARTS = {
    "CC-MAIN-2013-20": datetime(2013, 5, 18, tzinfo=UTC),
    "CC-MAIN-2015-35": datetime(2015, 8, 27, tzinfo=UTC),
    "CC-MAIN-2019-51": datetime(2019, 12, 5, tzinfo=UTC),
}
PAGES = 120


def real_bodies(html: Path) -> list[bytes]:
    with tarfile.open(html / "trafilatura.tar.xz") as archive:
        names = [name for name in archive.getnames() if name.endswith(".html")]
        return [file.read() for name in names if (file := archive.extractfile(name))]


@pytest.fixture(scope="module")
def real_crawls(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[MadeCrawl], list[str]]:
    """Real pages as three crawls captured them: each page in one to three of the crawls, once or twice, marked with its day."""
    root = tmp_path_factory.mktemp("real")
    bodies = real_bodies(shared_data / "html")[:PAGES]
    crawls = []
    for number, (name, start) in enumerate(STARTS.items()):
        shots = []
        for page, body in enumerate(bodies):
            for again in range((page + number) % 3):
                at = start + timedelta(days=(page * 7 + again * 11) % 21, seconds=page)
                shots.append(Shot(f"http://real{page % 17}.example/{page}", at, body + f"<!-- {at:%Y%m%d} -->".encode()))
        crawls.append(MadeCrawl(name, shots, per_file=60).write(root / "archive"))
    return root / "archive", crawls, write_columnar(root / "index", crawls, group=50)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("as_of", "days", "side"),
    [("submission", 3650, "either"), ("submission", 365, "before"), ("submission", 365, "after"), ("2015-09-05", 20, "either")],
)
def test_capture_of_the_day_of_real_pages(
    tmp_path: Path, engine: Engine, real_crawls: tuple[Path, list[MadeCrawl], list[str]], as_of: str, days: int, side: str
) -> None:
    archive, crawls, index = real_crawls
    count = 1 + max(int(shot.url.rpartition("/")[2]) for crawl in crawls for shot in crawl.shots)
    links = [
        link(f"http://real{page % 17}.example/{page}", at=datetime(2012, 6, 1, tzinfo=UTC) + timedelta(days=12 * page))
        for page in range(count)
    ]
    shots = [shot for crawl in crawls for shot in crawl.shots]
    wanted = {}
    for one in links:
        assert one.submitted_at
        at = one.submitted_at if as_of == "submission" else datetime(2015, 9, 5, 12, tzinfo=UTC)
        if shot := wanted_shot(one.url, at, shots, days, side):
            wanted[one.url] = shot.body
    with range_server(archive) as server:
        settings = {"archive_index": tuple(index), "commoncrawl": server.url, "as_of": as_of, "within": days, "side": side}
        run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings, **LOOPBACK)
    pages = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    drops = drops_of(tmp_path / "pages")
    assert {url: body for url, body in wanted.items() if drops.get(url) != "not_html"} == pages
    assert len(pages) > 20
    assert len(pages) + len(drops) == len(links)


def made_links(pages: int) -> list[Link]:
    return [link(page_url(page), at=datetime(2012, 1, 1, tzinfo=UTC) + timedelta(days=47 * page)) for page in range(pages)]


def expected(links: Sequence[Link], crawls: Sequence[MadeCrawl]) -> dict[str, bytes]:
    shots = [shot for crawl in crawls for shot in crawl.shots if not shot.truncated]
    found = ((one.url, wanted_shot(one.url, one.submitted_at or datetime.now(UTC), shots, 3650, "either")) for one in links)
    return {url: shot.body for url, shot in found if shot}


def test_an_index_of_cdxj_indexer(tmp_path: Path, engine: Engine) -> None:
    tools = archive_tools()
    crawls = made_crawls(pages=30)
    for crawl in crawls:  # this indexer does not say what is truncated
        crawl.shots = [shot for shot in crawl.shots if not shot.truncated]
        crawl.write(tmp_path / "archive")
    warcs = sorted({shot.warc for crawl in crawls for shot in crawl.shots})
    index = tmp_path / "index" / "all.cdxj"
    index.parent.mkdir()
    flat = tmp_path / "flat"
    flat.mkdir()
    for warc in warcs:
        (flat / Path(warc).name.replace(".warc", f"-{'d' if 'diagnostics' in warc else 'w'}.warc")).write_bytes(
            (tmp_path / "archive" / warc).read_bytes()
        )
    command = [tools / "cdxj-indexer", "--sort", "--output", index, *sorted(flat.iterdir())]
    subprocess.run(command, check=True, capture_output=True)
    links = made_links(30)
    settings = {"archive_index": (str(index),), "commoncrawl": str(flat), "within": 3650}
    run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings, **LOOPBACK)
    pages = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    assert pages == expected(links, crawls)
    assert len(pages) > 10


def test_index_and_records_in_an_object_store(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    crawls = [crawl.write(tmp_path / "archive") for crawl in made_crawls(pages=12)]
    write_columnar(tmp_path / "archive", crawls)
    with object_store("commoncrawl") as address:
        for name, value in {**ACCESS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=address)
        for path in (path for path in (tmp_path / "archive").rglob("*") if path.is_file()):
            client.put_object(Bucket="commoncrawl", Key=str(path.relative_to(tmp_path / "archive")), Body=path.read_bytes())
        links = made_links(12)
        settings = {"archive_index": ("s3://commoncrawl/cc-index/table",), "commoncrawl": "s3://commoncrawl/", "within": 3650}
        run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings, **LOOPBACK)
    pages = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    assert pages == expected(links, crawls)
    (address,) = {page.archive_file.split("/")[0] for page in pages_of(tmp_path / "pages") if page.archive_file}
    assert address == "crawl-data"


def test_an_index_on_a_web_server(tmp_path: Path, engine: Engine) -> None:
    crawls = [crawl.write(tmp_path / "archive") for crawl in made_crawls(pages=12)]
    write_columnar(tmp_path / "archive", crawls, files=1)
    tables = sorted(str(path.relative_to(tmp_path / "archive")) for path in (tmp_path / "archive").rglob("*.parquet"))
    (tmp_path / "archive" / "cc-index-table.paths").write_text("".join(f"{name}\n" for name in tables))
    links = made_links(12)
    with range_server(tmp_path / "archive") as server:
        settings = {"archive_index": (f"{server.url}cc-index-table.paths",), "commoncrawl": server.url, "within": 3650}
        run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings, **LOOPBACK)
    pages = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    assert pages == expected(links, crawls)

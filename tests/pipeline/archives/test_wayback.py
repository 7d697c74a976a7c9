"""Archives that answer link by link: pywb as the real one, and a server that plays the Internet Archive's manners and faults."""

import base64
import gzip
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from servers.crawl_archive import MadeCrawl, Request, Shot, made_crawls, page_url, range_server, wanted_shot
from servers.pywb_server import pywb_server
from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine
from pipeline.pages.warc_reader import read_records

AT = datetime(2015, 9, 1, tzinfo=UTC)
LOOPBACK = {"allow_addresses": ("127.0.0.0/8",), "wayback_rate": 1000.0, "source": ("wayback",)}


def addresses(base: str, *, timegate: bool = False) -> dict[str, str]:
    return {"wayback": base, "wayback_cdx": f"{base}cdx"} | ({"timegate": base} if timegate else {})


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def crawls(archive: Path) -> list[MadeCrawl]:
    extra = [
        Shot("http://a.example/old", AT, status=301, location="https://www.a.example/new"),
        Shot("https://www.a.example/new", AT + timedelta(days=1)),
        Shot("http://a.example/404", AT, status=404),
    ]
    made = made_crawls(pages=20)
    for crawl in made:
        crawl.shots = [shot for shot in crawl.shots if not shot.truncated]
    made[1].shots += extra
    return [crawl.write(archive) for crawl in made]


@pytest.fixture(scope="module")
def pywb(archive: Path, crawls: list[MadeCrawl], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("pywb")
    warcs = []
    for number, path in enumerate(sorted({shot.warc for crawl in crawls for shot in crawl.shots})):
        warcs.append(root / f"{number}.warc.gz")
        warcs[-1].write_bytes((archive / path).read_bytes())
    with pywb_server(root / "server", warcs) as base:
        yield base


@pytest.mark.parametrize(("as_of", "days", "side"), [("submission", 3650, "either"), ("submission", 900, "before")])
def test_capture_of_the_day_of_pywb(
    tmp_path: Path, engine: Engine, crawls: list[MadeCrawl], pywb: str, as_of: str, days: int, side: str
) -> None:
    links = [link(page_url(page), at=datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=120 * page)) for page in range(20)]
    shots = [shot for crawl in crawls for shot in crawl.shots]
    wanted = {}
    for one in links:
        assert one.submitted_at
        if shot := wanted_shot(one.url, one.submitted_at, shots, days, side):
            wanted[one.url] = shot.body
    settings = {"as_of": as_of, "within": days, "side": side, **addresses(pywb), **LOOPBACK}
    run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings)
    pages = pages_of(tmp_path / "pages")
    assert {page.url: body_of(tmp_path / "pages", page) for page in pages} == wanted
    assert len(wanted) > 5
    by_body = {shot.body: shot for shot in shots}
    for page in pages:
        shot = by_body[wanted[page.url]]
        assert (page.source, page.captured_at, page.digest) == ("wayback", shot.at, f"sha1:{shot.digest}")
        assert page.archive_file == f"{pywb}{shot.at:%Y%m%d%H%M%S}id_/{shot.url}"


@pytest.mark.parametrize("timegate", [False, True])
def test_redirects_and_failures_of_pywb(tmp_path: Path, engine: Engine, pywb: str, timegate: bool) -> None:
    links = [link(f"http://a.example/{name}", at=AT) for name in ("old", "404", "never")]
    settings = {**addresses(pywb, timegate=timegate), **LOOPBACK}
    run(links_folder(tmp_path / "links", links), tmp_path / "pages", engine, **settings)
    (page,) = pages_of(tmp_path / "pages")
    assert (page.final_url, page.redirects) == ("https://www.a.example/new", ("http://a.example/old",))
    assert page.captured_at == AT + timedelta(days=1)
    drops = drops_of(tmp_path / "pages")
    assert drops == {"http://a.example/404": "http_404", "http://a.example/never": "not_archived"}
    records = [record for path in (tmp_path / "pages").glob("*.warc.gz") for record in read_records(str(path))]
    responses = [record for record in records if record.kind == "response"]
    assert [record.headers["warc-source-uri"] for record in responses] == [
        f"{pywb}20150901000000id_/http://a.example/old",
        f"{pywb}20150902000000id_/https://www.a.example/new",
    ]
    assert [record.date for record in responses] == [AT, AT + timedelta(days=1)]
    (about,) = [record.block.decode() for record in records if record.kind == "metadata"]
    assert "archive-source: wayback" in about
    assert "archive-fetched-at: 2026-01-31T12:00:00+00:00" in about


BODY = gzip.compress(b"<html><p>As it was, in gzip.", mtime=0)
STAMP = "20150903101112"


class InternetArchive:
    """Plays the Internet Archive: JSON tables, X-Archive-Orig- headers, other captures than those asked for; `faults` by path."""

    def __init__(self) -> None:
        self.faults: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self.stamp = STAMP

    def __call__(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(request.path)
        if waiting := self.faults.get(parts.path.split("/")[1], []):
            return waiting.pop(0)
        if parts.path == "/cdx":
            url = parse_qs(parts.query)["url"][0]
            digest = base64.b32encode(hashlib.sha1(BODY).digest()).decode()
            head = '["timestamp","original","mimetype","statuscode","digest","length"]'
            row = f'["{STAMP}","{url}","text/html","200","{digest}","99"]'
            return 200, {"Content-Type": "application/json"}, f"[{head},{row}]".encode() if "none" not in url else b"[]"
        _, _, stamp, url = parts.path.split("/", 3)
        if stamp[:14] != self.stamp:
            return 302, {"Location": f"/web/{self.stamp}id_/{url}"}, b"elsewhere"
        headers = {"Content-Type": "text/html", "Content-Encoding": "gzip", "X-Archive-Orig-Content-Encoding": "gzip"}
        headers |= {"X-Archive-Orig-Content-Type": "text/html; charset=latin-1", "X-Archive-Orig-Server": "Apache/1.3"}
        headers |= {"Memento-Datetime": format_datetime(datetime.strptime(self.stamp, "%Y%m%d%H%M%S").replace(tzinfo=UTC), True)}
        return 200, headers, BODY


def ask(tmp_path: Path, engine: Engine, archive: InternetArchive, *urls: str, **settings: object) -> Path:
    folder = tmp_path / "pages"
    with range_server(tmp_path, archive) as server:
        places = {"wayback": f"{server.url}web/", "wayback_cdx": f"{server.url}cdx"}
        links = links_folder(tmp_path / "links", [link(url, at=AT) for url in urls])
        run(links, folder, engine, **places, **(LOOPBACK | settings))
    return folder


def test_original_headers_are_restored(tmp_path: Path, engine: Engine) -> None:
    folder = ask(tmp_path, engine, InternetArchive(), "http://a.example/p")
    (page,) = pages_of(folder)
    assert (body_of(folder, page), page.charset, page.media_type) == (gzip.decompress(BODY), "latin-1", "text/html")
    (path,) = folder.glob("*.warc.gz")
    (record,) = [record for record in read_records(str(path)) if record.kind == "response"]
    assert record.url == "http://a.example/p"
    head = record.block.partition(b"\r\n\r\n")[0].decode()
    assert "Server: Apache/1.3" in head
    assert "x-archive" not in head.lower()
    assert record.block.endswith(BODY)


@pytest.mark.parametrize("place", ["cdx", "web"])
@pytest.mark.parametrize(
    "fault",
    [
        (200, {}, b""),
        (503, {}, b"slow down"),
        (429, {"Retry-After": "0"}, b""),
        (403, {}, b"no"),
        (500, {}, b""),
        (504, {}, b"late"),
        (200, {"Content-Length": "100"}, b"cut"),
    ],
    ids=["empty", "503", "429", "403", "500", "504", "cut"],
)
def test_a_failure_is_not_an_answer(tmp_path: Path, engine: Engine, place: str, fault: tuple[int, dict[str, str], bytes]) -> None:
    archive = InternetArchive()
    archive.faults[place] = [fault] * 3
    folder = ask(tmp_path, engine, archive, "http://a.example/p")
    assert len(pages_of(folder)) == 1
    archive.faults[place] = [fault] * 5
    refused = ask(tmp_path / "refused", engine, archive, "http://a.example/p")
    assert drops_of(refused) == {"http://a.example/p": "archive_refused"}


def test_retry_after_holds_for_all(tmp_path: Path, engine: Engine) -> None:
    archive = InternetArchive()
    archive.faults["cdx"] = [(429, {"Retry-After": "1"}, b"wait")]
    with range_server(tmp_path, archive) as server:
        places = {"wayback": f"{server.url}web/", "wayback_cdx": f"{server.url}cdx"}
        links = links_folder(tmp_path / "links", [link("http://a.example/p", at=AT)])
        run(links, tmp_path / "pages", engine, **places, **LOOPBACK)
        first, second, *_ = server.requests
    assert second.at - first.at >= 1.0
    assert len(pages_of(tmp_path / "pages")) == 1


def test_the_day_that_comes_back_counts(tmp_path: Path, engine: Engine) -> None:
    archive = InternetArchive()
    archive.stamp = "20150930000000"
    folder = ask(tmp_path, engine, archive, "http://a.example/p", "http://a.example/none", within=40)
    (page,) = pages_of(folder)
    assert (page.captured_at, page.distance_days) == (datetime(2015, 9, 30, tzinfo=UTC), 29)
    narrow = ask(tmp_path / "narrow", engine, archive, "http://a.example/p", "http://a.example/none", within=10)
    assert drops_of(narrow) == {"http://a.example/p": "outside_window", "http://a.example/none": "not_archived"}

"""Take-down of pages that web archives gave: by the address asked, the one redirected to, and the captures' own addresses."""

import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from servers.crawl_archive import MadeCrawl, RangeServer, Request, Shot, range_server, write_cdxj
from servers.stage_runs import body_of, contents, drops_of, link, links_folder, pages_of, run

from pipeline.cli.main import run as webtext
from pipeline.engine.runner import Engine
from pipeline.storage.manifest import StageManifest

AT = datetime(2015, 9, 1, tzinfo=UTC)
CAPTURED = AT + timedelta(days=3)
STAMP = f"{CAPTURED:%Y%m%d%H%M%S}"
ASKED = {
    "http://crawl.example/1": "commoncrawl",
    "http://crawl.example/2": "commoncrawl",
    "http://crawl.example/5": "commoncrawl",
    "http://replayed.example/3": "wayback",
    "http://replayed.example/4": "wayback",
    "http://replayed.example/6": "wayback",
}
LANDED = {
    "http://crawl.example/2": "http://landed.example/crawled",
    "http://replayed.example/4": "http://landed.example/replayed",
}
KEPT = {"http://crawl.example/5", "http://replayed.example/6"}


def text_of(url: str) -> bytes:
    return f"<html><title>{url}</title><p>What {url} said to its readers.".encode()


def sentence_of(url: str) -> bytes:
    """What only the page of a link says."""
    return f"What {LANDED.get(url, url)} said".encode()


def replay(request: Request) -> tuple[int, dict[str, str], bytes] | None:
    """A Wayback machine with captures of replayed.example, one of which redirects."""
    parts = urlsplit(request.path)
    if parts.path == "/cdx":
        url = parse_qs(parts.query)["url"][0]
        rows = [["timestamp", "original", "statuscode"], [STAMP, url, "302" if url in LANDED else "200"]]
        return 200, {"Content-Type": "application/json"}, json.dumps(rows if "replayed" in url else []).encode()
    prefix = f"/web/{STAMP}id_/"
    if not request.path.startswith(prefix):
        return None
    url, date = request.path.removeprefix(prefix), {"Memento-Datetime": format_datetime(CAPTURED, usegmt=True)}
    if url in LANDED:
        return 302, {"Location": f"{prefix}{LANDED[url]}", **date}, b""
    return 200, {"Content-Type": "text/html", **date}, text_of(url)


@contextmanager
def archives(root: Path) -> Iterator[tuple[RangeServer, dict[str, object]]]:
    """Both archives, and the settings by which `pages` reaches them."""
    shots = [Shot(url, AT, text_of(url)) for url, source in ASKED.items() if source == "commoncrawl" and url not in LANDED]
    shots.append(Shot("http://crawl.example/2", AT, status=301, location=LANDED["http://crawl.example/2"]))
    shots.append(Shot(LANDED["http://crawl.example/2"], AT, text_of(LANDED["http://crawl.example/2"])))
    crawl = MadeCrawl("CC-MAIN-2015-35", shots).write(root / "archive")
    with range_server(root / "archive", replay) as server:
        given: dict[str, object] = {"source": ("commoncrawl", "wayback"), "commoncrawl": server.url}
        given |= {"archive_index": tuple(write_cdxj(root / "index", [crawl])), "allow_addresses": ("127.0.0.0/8",)}
        given |= {"wayback": f"{server.url}web/", "wayback_cdx": f"{server.url}cdx"}
        yield server, given | {"wayback_rate": 900.0, "commoncrawl_rate": 900.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archived")
    links = links_folder(root / "corpus" / "links", [link(url, at=AT) for url in ASKED])
    with archives(root) as (_, given):
        run(links, root / "corpus" / "pages", Engine(), **given)
    pages = {page.url: page for page in pages_of(root / "corpus" / "pages")}
    assert {url: page.source for url, page in pages.items()} == ASKED
    assert {url: page.final_url for url, page in pages.items() if page.final_url != url} == LANDED
    assert webtext(["documents", "--corpus", str(root / "corpus"), "--min-characters", "1", "--languages", "all"]) == 0
    return root


def spellings(made: Path) -> dict[str, list[str]]:
    """For each page but two: its addresses as a request may spell them."""
    found: dict[str, list[str]] = {}
    for page in pages_of(made / "corpus" / "pages"):
        if page.url in KEPT:
            continue
        landed = LANDED.get(page.url, page.url)
        host = landed.removeprefix("http://")
        found[page.url] = [page.url.replace("http://", "https://www."), f"{landed}?utm_source=mail"]
        if page.source == "wayback":
            assert page.archive_file
            found[page.url] += [page.archive_file, page.archive_file.replace("id_/", "/")]
            found[page.url] += [f"https://web.archive.org/web/{STAMP}/{landed}", f"web.archive.org/web/2015*/{host}"]
            found[page.url] += [f"https://web.archive.org/web/*/{page.url}"]
    return found


LISTED = [(url, number) for url, source in ASKED.items() if url not in KEPT for number in range(7 if source == "wayback" else 2)]


def listed(made: Path, folder: Path, url: str, number: int) -> Path:
    path = folder / "list.csv"
    path.write_text(f"date,reference,kind,value\n2026-11-29,MAIL-1,address,{spellings(made)[url][number]}\n")
    return path


@pytest.mark.parametrize(("url", "number"), LISTED)
def test_removal_leaves_no_byte_of_the_capture(made: Path, tmp_path: Path, url: str, number: int) -> None:
    corpus = shutil.copytree(made / "corpus", tmp_path / "corpus")
    command = ["remove", "--corpus", str(corpus), "--replace", "--list", str(listed(made, tmp_path, url, number))]
    assert webtext(command) == 0
    pages = pages_of(corpus / "pages")
    assert {page.url for page in pages} == ASKED.keys() - {url}
    assert all(body_of(corpus / "pages", page) == text_of(page.final_url) for page in pages)
    for stage in ("pages", "documents"):
        assert sentence_of(url) not in everything(corpus / stage)
        assert StageManifest.load(str(corpus / stage)).books.items_out == len(ASKED) - 1
    assert webtext(["verify", "--corpus", str(corpus)]) == 0
    (report,) = (json.loads(path.read_text()) for path in (corpus / "removals").iterdir())
    assert [request["pages"] for request in report["requests"]] == [1]
    assert webtext(["inspect", "--corpus", str(corpus), "--url", min(KEPT)]) == 0


def everything(folder: Path) -> bytes:
    data = [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    return b"".join(gzip.decompress(content) if path.name.endswith(".warc.gz") else content for path, content in data)


@pytest.mark.parametrize(("url", "number"), [case for case in LISTED if case[1] in (0, 1, 2)])
def test_a_listed_page_stays_out_of_pages_and_documents(made: Path, tmp_path: Path, url: str, number: int) -> None:
    path, links = str(listed(made, tmp_path, url, number)), str(made / "corpus" / "links")
    with archives(tmp_path) as (server, given):
        run(links, tmp_path / "pages", Engine(), takedown=path, **given)
        if number == 0:
            assert not [request for request in server.requests if url.removeprefix("http://") in request.path]
    assert {url: reason for url, reason in drops_of(tmp_path / "pages").items() if reason == "taken_down"} == {url: "taken_down"}
    assert {page.url for page in pages_of(tmp_path / "pages")} == ASKED.keys() - {url}
    assert sentence_of(url) not in everything(tmp_path / "pages")
    command = ["documents", "--input", str(made / "corpus" / "pages"), "--output", str(tmp_path / "documents")]
    assert webtext([*command, "--min-characters", "1", "--languages", "all", "--takedown", path]) == 0
    assert StageManifest.load(str(tmp_path / "documents")).books.dropped == {"taken_down": 1}


def test_a_page_of_the_same_archive_is_not_meant(made: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(made / "corpus", tmp_path / "corpus")
    before = contents(corpus)
    path = tmp_path / "list.txt"
    path.write_text(f"https://web.archive.org/web/{STAMP}/http://other.example/3\nweb.archive.org\nhttp://a.example/2015/b\n")
    assert webtext(["remove", "--corpus", str(corpus), "--replace", "--list", str(path)]) == 0
    assert contents(corpus) == before

"""A web of pages, of failures that may pass and of answers, and crawls of it by the stage `pages`."""

from collections import Counter
from pathlib import Path
from typing import Any

from servers.replay import NOT_FOUND, ReplayServer, Reply, Reset
from servers.stage_runs import body_of, drops_of, pages_of, pages_settings

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages.settings import PagesSettings
from pipeline.pages.stage import STAGE
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check

GOOD = [f"http://good{number}.example/" for number in range(6)]
PASSING: dict[str, Reply | Reset | None] = {
    "http://closed.example/": None,
    "http://reset.example/": Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    "http://busy.example/a": Reply(b"busy", status=503),
    "http://busy.example/b": Reply(b"busy", status=503),
    "http://broken.example/": Reply(b"broken", status=500),
    "http://gateway.example/": Reply(b"bad", status=502),
    "http://late.example/": Reply(b"late", status=504),
    "http://often.example/": Reply(b"too many", status=429),
    "http://idle.example/": Reply(b"idle", status=408),
    "http://cloud.example/": Reply(b"origin is down", status=522),
    "http://full.example/": Reply(b"no space", status=507),
    "http://lost.example/robots.txt": Reply(b"no", status=500),
    "http://lost.example/": b"<p>Not seen",  # type: ignore[dict-item]
}
ANSWERS: dict[str, Reply | bytes] = {
    "http://gone.example/a": NOT_FOUND,
    "http://gone.example/b": Reply(b"gone", status=410),
    "http://forbidden.example/": Reply(b"no", status=403),
    "http://teapot.example/": Reply(b"tea", status=418),
    "http://legal.example/": Reply(b"law", status=451),
    "http://pdf.example/": Reply(b"%PDF-1.4", "application/pdf"),
    "http://empty.example/": b"",
    "http://private.example/robots.txt": Reply(b"User-agent: *\nDisallow: /", "text/plain"),
    "http://private.example/": b"<p>Private",
    "http://round.example/": Reply(status=302, headers=(("Location", "http://round.example/"),)),
    "http://nowhere.example/": Reply(status=302, headers=(("Location", "ftp://a.example/"),)),
    "http://large.example/": b"<p>" + b"word " * 4000,
}
LARGE = 10_000


def is_link(url: str) -> bool:
    return not url.endswith("/robots.txt")


def web() -> dict[str, Any]:
    return {url: f"<p>{url} is here".encode() for url in GOOD} | PASSING | ANSWERS


LINKED = [url for url in web() if is_link(url)]


def settings(server: ReplayServer, **others: object) -> PagesSettings:
    return pages_settings(**({"proxy": server.proxy_url, "max_body_bytes": LARGE} | others))


def run(links: str, folder: Path, server: ReplayServer, *, anew: bool = False, **others: object) -> StageManifest:
    return STAGE.run(Call({"links": links}, str(folder), settings(server, **others), Engine(workers=1, replace=anew)))


def asked(server: ReplayServer, before: Counter[str]) -> set[str]:
    return {url for url in server.hits - before if is_link(url)}


def files_of(folder: Path, kind: str) -> dict[str, bytes]:
    return {entry.name: (folder / entry.name).read_bytes() for entry in StageManifest.load(str(folder)).of_kind(kind)}


def assert_whole(folder: Path, linked: list[str]) -> None:
    """All files match the manifest, every link is a page or a drop once, every page's record gives its body."""
    manifest = StageManifest.load(str(folder))
    check(str(folder))
    pages, drops = pages_of(folder), drops_of(folder)
    assert sorted([*drops, *(page.url for page in pages)]) == sorted(linked)
    assert (manifest.books.items_in, manifest.books.items_out) == (len(linked), len(pages))
    assert manifest.books.dropped == dict(sorted(Counter(drops.values()).items()))
    assert manifest.counters["body_bytes"] == sum(page.body_bytes for page in pages)
    assert {len(body_of(folder, page)) - page.body_bytes for page in pages} <= {0}
    named = {entry.name for entry in manifest.files}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present - named <= {"manifest.json", "run.json"}

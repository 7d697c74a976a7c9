"""The demo's web: the documentation of the running Python on sites with made-up names, and a Reddit dump that links to it.

No name of the sites exists: all end in `.example`, which RFC 2606 keeps for examples. A proxy on 127.0.0.1 answers for them.
"""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard
from modules import host_of, module_names, topic_names

BATCH_MODULES = 60
BATCH_SECONDS = 90.0
DOCUMENT = "import sys; sys.path.append(sys.argv.pop(1)); from document import main; main()"
"""Runs document.py with its folder last in the path: no module of the demo hides one that is documented."""
DEAD_EVERY = 25
MONTH_STARTS = 1_512_086_400  # 2017-12-01
MONTH_SECONDS = 31 * 24 * 3600
NEXT_YEAR = 1_520_000_000


@dataclass(frozen=True)
class Web:
    """The folder of pages."""

    folder: Path

    @property
    def dump(self) -> Path:
        """The submissions that link to the pages, in the format of Reddit's dumps: JSON lines, zstd with a long window."""
        return self.folder / "RS_2017-12.zst"

    def url(self, name: str) -> str:
        """The address of a module's page. The modules of a package share a site."""
        return f"http://{host_of(name)}/{name}.html"


def build(folder: Path, pages: int, seed: int, report: Callable[[str], None]) -> Web:
    """Write the pages of `pages` modules and the dump. Pages from an earlier call are kept; modules that fail to import are skipped."""
    web, ready = Web(folder), folder / "web.json"
    if ready.exists():
        report("web: up to date")
        return web
    folder.mkdir(parents=True, exist_ok=True)
    about = topic_names()
    names = [*about, *module_names(max(0, pages + pages // 12 - len(about)), seed)]
    _document(folder, names, pages, report)
    documented = sorted(path.stem for path in folder.glob("*.html"))
    submissions = list(_submissions(web, documented))
    _write_dump(web.dump, submissions)
    sites = {host_of(name) for name in documented}
    aside = ready.with_suffix(".aside")
    aside.write_text(json.dumps({"pages": len(documented), "sites": len(sites), "submissions": len(submissions)}))
    aside.rename(ready)
    report(f"web: {len(documented):,} pages of documentation on {len(sites)} sites, {len(submissions):,} submissions")
    return web


@contextmanager
def serve(web: Web) -> Iterator[str]:
    """Answer for the web's sites while the block runs. Yields the URL of the proxy, on a free port of 127.0.0.1."""
    handler = type("Handler", (_Handler,), {"folder": web.folder})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves pages by name on their own site, redirects /old/NAME to /NAME, gives bytes that are not HTML below /data/, else 404."""

    folder: Path
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        """Answer a GET request, whose target is the whole URL, as proxies are asked."""
        target = urlsplit(self.path)
        path = target.path.lstrip("/")
        if path == "robots.txt":
            self._answer(200, "text/plain", b"User-agent: *\nDisallow: /private/\n")
        elif path.startswith("old/"):
            self._answer(301, "text/plain", b"", location="/" + path.removeprefix("old/"))
        elif path.startswith("data/"):
            self._answer(200, "application/octet-stream", bytes(range(256)))
        else:
            page = self.folder / Path(path).name
            exists = page.suffix == ".html" and host_of(page.stem) == target.hostname and page.is_file()
            self._answer(200 if exists else 404, "text/html; charset=utf-8", page.read_bytes() if exists else b"<p>not found</p>")

    def _answer(self, status: int, media_type: str, body: bytes, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing: the pipeline accounts for every request."""


def _document(folder: Path, names: Sequence[str], pages: int, report: Callable[[str], None]) -> None:
    waiting = [name for name in names if not (folder / f"{name}.html").exists()]
    batches = [waiting[i : i + BATCH_MODULES] for i in range(0, len(waiting), BATCH_MODULES)]
    reported = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        futures = [pool.submit(_document_batch, folder, batch, pages) for batch in batches]
        for future in futures:
            future.result()
            if time.monotonic() - reported > 1:
                reported = time.monotonic()
                report(f"web: {sum(1 for _ in folder.glob('*.html')):,} of {pages:,} pages documented")


def _document_batch(folder: Path, names: Sequence[str], pages: int) -> None:
    """Document a batch in a child process. If it dies or hangs, skip the module that it was at and start another for the rest."""
    left = list(names)
    while left and sum(1 for _ in folder.glob("*.html")) < pages:
        command = [sys.executable, "-P", "-c", DOCUMENT, str(Path(__file__).parent), str(folder), *left]
        environment = os.environ | {"MPLBACKEND": "agg", "PYTHONHASHSEED": "0"}
        try:
            ended = (
                subprocess.run(command, timeout=BATCH_SECONDS, capture_output=True, check=False, env=environment).returncode == 0
            )
        except subprocess.TimeoutExpired:
            ended = False
        done = [i for i, name in enumerate(left) if (folder / f"{name}.html").exists()]
        left = [] if ended else left[(done[-1] + 2 if done else 1) :]


def _submissions(web: Web, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one or more submissions for every page, in all spellings that occur on Reddit, and submissions that the rules must drop."""
    for i, name in enumerate(names):
        url = web.url(name)
        yield _submission(name, url)
        if i % 7 == 0:
            yield _submission(f"{name} again", f"{url}?utm_source=reddit&utm_medium=social#top")
        if i % 11 == 0:
            yield _submission(f"{name} moved", url.replace(f"/{name}", f"/old/{name}"))
        if i % 13 == 0:
            yield _submission(f"low {name}", url.replace(".html", ".html?low=1"), score=_number(name) % 3)
        if i % DEAD_EVERY == 0:
            yield _submission(f"dead {name}", url.replace(".html", "-gone.html"))
            yield _submission(f"ask {name}", f"https://www.reddit.com/r/python/comments/{i}/", is_self=True)
        if i % 50 == 0:
            yield _submission(f"data {name}", url.replace(f"/{name}.html", f"/data/{name}"))
            yield _submission(f"private {name}", url.replace(f"/{name}", f"/private/{name}"))
            yield _submission(f"wiki {name}", f"https://en.wikipedia.org/wiki/{name}")
            yield _submission(f"late {name}", url.replace(".html", ".html?late=1"), created=NEXT_YEAR)
            yield _submission(f"picture {name}", url.replace(".html", ".png"))


def _submission(
    title: str, url: str, score: int | None = None, created: int | None = None, *, is_self: bool = False
) -> dict[str, Any]:
    number = _number(title)
    identity = f"{number % 36**6:06d}"[:7]
    return {
        "id": identity,
        "title": title,
        "url": url,
        "score": 3 + 900 // (1 + number % 300) if score is None else score,  # most scores are low, a few are high
        "is_self": is_self,
        "domain": "self.python" if is_self else url.split("/")[2],
        "subreddit": ("python", "programming", "learnpython", "coding")[number % 4],
        "created_utc": MONTH_STARTS + number % MONTH_SECONDS if created is None else created,
        "over_18": False,
        "author": "[deleted]" if number % 17 == 0 else f"user{number % 1000}",
        "permalink": f"/r/python/comments/{identity}/",
        "num_comments": number % 90,
        "selftext": "",
        "edited": False,
        "subreddit_id": "t5_2qh0y",
    }


def _write_dump(path: Path, submissions: Sequence[dict[str, Any]]) -> None:
    lines = sorted(submissions, key=lambda s: (s["created_utc"], s["id"]))
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True, write_checksum=True)
    aside = path.with_suffix(".aside")
    aside.write_bytes(zstandard.ZstdCompressor(compression_params=parameters).compress(data))
    aside.rename(path)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")

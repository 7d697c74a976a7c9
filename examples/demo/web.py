"""The demo's web: the documentation of the running Python, served on many loopback addresses, and a Reddit dump that links to it."""

import hashlib
import http.server
import json
import os
import socket
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

import zstandard
from modules import module_names

SITES = 48
BATCH_MODULES = 40
BATCH_SECONDS = 60.0
DEAD_EVERY = 25
MONTH_STARTS = 1_512_086_400  # 2017-12-01
MONTH_SECONDS = 31 * 24 * 3600
NEXT_YEAR = 1_520_000_000


@dataclass(frozen=True)
class Web:
    """The folder of pages, and the port on which all addresses serve them."""

    folder: Path
    port: int

    @property
    def dump(self) -> Path:
        """The submissions that link to the pages, in the format of Reddit's dumps: JSON lines, zstd with a long window."""
        return self.folder / "RS_2017-12.zst"

    def url(self, name: str) -> str:
        """The address of a module's page. All modules of a package share a host."""
        site = 1 + _number(name.rpartition(".")[0] or name) % SITES
        return f"http://127.0.1.{site}:{self.port}/{name}.html"


def build(folder: Path, pages: int, seed: int, report: Callable[[str], None]) -> Web:
    """Write the pages of `pages` modules and the dump. Pages from an earlier call are kept; modules that fail to import are skipped."""
    ready = folder / "web.json"
    if ready.exists():
        report("web: up to date")
        return Web(folder, json.loads(ready.read_text())["port"])
    folder.mkdir(parents=True, exist_ok=True)
    names = module_names(pages + pages // 12, seed)
    _document(folder, names, pages, report)
    web = Web(folder, _free_port())
    documented = sorted(path.stem for path in folder.glob("*.html"))
    submissions = list(_submissions(web, documented))
    _write_dump(web.dump, submissions)
    aside = ready.with_suffix(".aside")
    aside.write_text(json.dumps({"port": web.port, "pages": len(documented), "submissions": len(submissions)}))
    aside.rename(ready)
    report(f"web: {len(documented):,} pages of documentation, {len(submissions):,} submissions")
    return web


@contextmanager
def serve(web: Web) -> Iterator[None]:
    """Serve the web while the block runs. Raises OSError if another program has taken its port since."""
    handler = type("Handler", (_Handler,), {"folder": web.folder})
    servers = [_Server((f"127.0.1.{site}", web.port), handler) for site in range(1, SITES + 1)]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves pages by name, redirects /old/NAME to /NAME, gives bytes that are not HTML below /data/, and 404 for everything else."""

    folder: Path
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        """Answer a GET request."""
        path = self.path.split("?")[0].lstrip("/")
        if path == "robots.txt":
            self._answer(200, "text/plain", b"User-agent: *\nDisallow: /private/\n")
        elif path.startswith("old/"):
            self._answer(301, "text/plain", b"", location="/" + path.removeprefix("old/"))
        elif path.startswith("data/"):
            self._answer(200, "application/octet-stream", bytes(range(256)))
        else:
            page = self.folder / Path(path).name
            exists = page.suffix == ".html" and page.is_file()
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
        command = [sys.executable, "-P", str(Path(__file__).with_name("document.py")), str(folder), *left]
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

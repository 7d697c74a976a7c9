"""Two archives in one process: byte ranges of WARC files, and a Wayback machine that holds every page; for runs that are killed."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from servers.crawl_archive import Request, range_server


def wayback(at: datetime, root: Path) -> object:
    """Answers of a Wayback machine that captured each page of a.example but every fifth, three days after `at`."""
    captured = at + timedelta(days=3)

    def answer(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        parts = urlsplit(request.path)
        if parts.path == "/cdx":
            url = parse_qs(parts.query)["url"][0]
            row = f'["timestamp","original","statuscode"],["{captured:%Y%m%d%H%M%S}","{url}","200"]'
            held = "a.example" in url and int(url.rpartition("/")[2]) % 5 != 0
            return 200, {"Content-Type": "application/json"}, f"[{row}]".encode() if held else b"[]"
        if parts.path.startswith("/web/"):
            body = f"<html><p>{parts.path} as the other archive has it.".encode()
            return 200, {"Content-Type": "text/html", "Memento-Datetime": format_datetime(captured, usegmt=True)}, body
        if parts.path.startswith("/live/"):
            return 200, {"Content-Type": "text/html"}, f"<html><p>{parts.path} of today.".encode()
        return None

    return answer


@contextmanager
def serve_two(root: Path, at: datetime) -> Iterator[tuple[str, str, str]]:
    """The addresses of the crawl's files, of the replay and of the CDX server, in a process of their own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        with range_server(root, wayback(at, root)) as server:  # type: ignore[arg-type]
            os.write(write, server.url.encode())
            os.close(write)
            signal.pause()
        sys.exit(0)
    os.close(write)
    try:
        url = os.read(read, 200).decode()
        yield url, f"{url}web/", f"{url}cdx"
    finally:
        os.close(read)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)

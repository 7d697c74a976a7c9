"""The report while a run goes on: served on loopback, made anew as stages finish, with a line for each that is at work."""

from collections.abc import Callable, Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.engine.parts import WORK_FOLDER
from pipeline.report.page_html import style
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import NAME

HOST = "127.0.0.1"
REFRESH_SECONDS = 10


def server(port: int, page: Callable[[], str]) -> ThreadingHTTPServer:
    """A server of `page()` on loopback; port 0 takes a free one. Raises InputError where the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the base class names it
            """The page at /, nothing elsewhere."""
            if self.path != "/":
                self.send_error(404)
                return
            body = page().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Refresh", str(REFRESH_SECONDS))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not a word a request."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise InputError(f"--watch {port}: cannot listen there ({error.strerror}); choose another port") from error


def watched_page(folders: Mapping[str, str], make: Callable[[], str]) -> str:
    """The report so far, under the lines of the stages at work; before any has finished, those lines alone."""
    lines = "".join(f"<p>{escape(line)}</p>" for name, folder in folders.items() if (line := at_work(name, folder)))
    now = f'<section aria-label="At work">{lines}</section>' if lines else ""
    try:
        return make().replace('<main id="content" tabindex="-1">', f'<main id="content" tabindex="-1">{now}', 1)
    except InputError as error:
        said = now or f"<p>{escape(str(error))}</p>"
        head = f'<html lang="en"><head><meta charset="utf-8"><title>Corpus report</title><style>{style()}</style></head>'
        return f"<!DOCTYPE html>{head}<body><main><h1>Nothing has finished yet</h1>{said}</main></body></html>"


def at_work(name: str, folder: str) -> str | None:
    """`pages: fetch, 3 parts done, 1,200 items in the others`; None of a stage that is done, has not begun, or is not local."""
    work = Path(folder, WORK_FOLDER)
    if not files.is_local(folder) or files.exists(files.join(folder, NAME)) or not work.is_dir():
        return None
    phases = sorted((p for p in work.glob("*/*") if p.is_dir()), key=lambda p: (p.stat().st_mtime_ns, p.name))
    if not phases:
        return f"{name}: at work"
    done = {p.name.removesuffix(".receipt.json") for p in phases[-1].glob("*.receipt.json")}
    items = sum(_number(p) for p in phases[-1].glob("*.progress") if p.stem not in done)
    phase = "" if phases[-1].name == "main" else f"{phases[-1].name}, "
    return f"{name}: at work, {phase}{len(done):,} parts done, {items:,} items in the others"


def _number(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except (OSError, ValueError):  # it is being written, or was just removed
        return 0

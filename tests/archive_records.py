"""WARC records written by hand, and what the stage makes of links to them."""

import gzip
from pathlib import Path

from servers.stage_runs import body_of, drops_of, link, links_folder, pages_of, run

from pipeline.engine.runner import Engine


def record(url: str, block: bytes, *fields: str, kind: str = "response", date: str = "2016-05-01T00:00:00Z") -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Date: {date}", f"WARC-Target-URI: {url}", *fields]
    head = "\r\n".join([*lines, f"Content-Length: {len(block)}", "", ""]).encode()
    return gzip.compress(head + block + b"\r\n\r\n", mtime=0)


def http(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: text/html", *lines, "", ""]).encode() + body


def outcomes(tmp_path: Path, engine: Engine, urls: list[str], *records: bytes) -> dict[str, bytes | str]:
    """The body of each link's page, or the reason of its drop."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "x.warc.gz").write_bytes(b"".join(records))
    links = links_folder(tmp_path / "links", [link(url) for url in urls])
    run(links, tmp_path / "pages", engine, fetch_from=(str(tmp_path / "x.warc.gz"),))
    pages = {page.url: body_of(tmp_path / "pages", page) for page in pages_of(tmp_path / "pages")}
    return {**drops_of(tmp_path / "pages"), **pages}

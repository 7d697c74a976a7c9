"""Pages folders for tests of the stage `documents`, and runs of the stage on them."""

import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.stage import STAGE
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.warc_writer import exchange_members
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest

FETCHED = datetime(2017, 5, 4, tzinfo=UTC)
STORY = (
    "The old lighthouse at the edge of the harbour was finally repaired this summer, after ten years in which nobody "
    "had climbed its stairs. Volunteers from the village carried every stone by hand, and the keeper's granddaughter "
    "painted the lantern room in the colours that she remembered from her childhood."
)


def html_page(number: int, text: str = STORY) -> bytes:
    return (
        f"<html><head><title>Page {number}</title></head><body><article><p>{text} {number}.</p></article></body></html>".encode()
    )


def page(url: str, body: bytes, offset: int, length: int) -> Page:
    return Page(
        url, url.removeprefix("http://"), "example.org", 5, None, url, FETCHED, 200, "text/html", None,
        "warc-00000.warc.gz", offset, length, len(body), sha256(body).digest(),
    )  # fmt: skip


def write_pages(
    folder: Path,
    bodies: list[bytes],
    indexes: int = 1,
    numbers: list[int] | None = None,
    members: dict[int, bytes] | None = None,
) -> Path:
    """A pages folder in the format of the stage `pages`; `numbers` are the numbers in the pages' URLs, by default their order.

    `members` replace the WARC records of some pages, by their numbers; the index still describes the pages.
    """
    folder.mkdir()
    pages = []
    with (folder / "warc-00000.warc.gz").open("wb") as warc:
        for number, body in zip(numbers or range(len(bodies)), bodies, strict=True):
            url = f"http://example.org/{number}"
            exchange = exchange_members(HttpResponse(url, 200, "OK", (("Content-Type", "text/html"),), body, ()), FETCHED)
            member = (members or {}).get(number, exchange.members)
            length = exchange.response_length if member is exchange.members else len(member)
            pages.append(page(url, body, warc.tell(), length))
            warc.write(member)
    entries = [_entry(folder, "warc-00000.warc.gz", "warc", len(bodies))]
    for i in range(indexes):
        name = f"pages-{i:05d}-of-{indexes:05d}.parquet"
        files.publish_table(str(folder / name), Page.table(pages[i::indexes]))
        entries.append(_entry(folder, name, "pages", len(pages[i::indexes])))
    StageManifest("pages", {}, {}, tuple(entries), Books(len(bodies), len(bodies))).save(str(folder))
    return folder


def _entry(folder: Path, name: str, kind: str, rows: int) -> FileEntry:
    path = folder / name
    return FileEntry(name, kind, rows, path.stat().st_size, files.fingerprint(str(path)))


def run(pages: Path, output: Path, engine: Engine, settings: DocumentsSettings | None = None) -> StageManifest:
    return STAGE.run(Call({"pages": str(pages)}, str(output), settings or DocumentsSettings(), engine))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "run.json"}


def real_pages(folder: Path, count: int) -> list[bytes]:
    """Bodies of saved pages, in the order of their names."""
    bodies: list[bytes] = []
    for path in sorted(folder.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None and member.size < 1 << 20:
                    bodies.append(file.read())
                if len(bodies) == count:
                    return bodies
    return bodies

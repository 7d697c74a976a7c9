import os
import random
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.documents.extract import document_id
from pipeline.documents.page_ranges import page_ranges
from pipeline.documents.stage import SANDBOXES_A_PROCESS, STAGE, DocumentsSettings
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.warc_writer import exchange_members
from pipeline.records import Drop, Page
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.files import InputError
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


def write_pages(folder: Path, bodies: list[bytes], indexes: int = 1, numbers: list[int] | None = None) -> Path:
    """A pages folder as the stage before leaves it; `numbers` name the pages where they are not in their order."""
    folder.mkdir()
    pages = []
    with (folder / "warc-00000.warc.gz").open("wb") as warc:
        for number, body in zip(numbers or range(len(bodies)), bodies, strict=True):
            url = f"http://example.org/{number}"
            exchange = exchange_members(HttpResponse(url, 200, "OK", (("Content-Type", "text/html"),), body, ()), FETCHED)
            pages.append(page(url, body, warc.tell(), exchange.response_length))
            warc.write(exchange.members)
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


def test_pages_become_documents_in_their_order_with_books(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1), b"<p>Too short.</p>", html_page(2), b""])
    manifest = run(pages, tmp_path / "documents", engine)
    assert manifest.books == Books(4, 2, {"no_markup": 1, "too_short": 1})
    (shard,) = document_shards(str(tmp_path / "documents"))
    rows = files.read_table(shard.path).to_pylist()
    assert [(row["url"], row["title"], row["language"], row["karma"]) for row in rows] == [
        ("http://example.org/0", "Page 1", "en", 5),
        ("http://example.org/2", "Page 2", "en", 5),
    ]
    assert rows[0]["text"] == f"{STORY} 1."
    assert rows[0]["document_id"] == document_id(rows[0]["text"])
    assert manifest.counters["text_bytes"] == sum(len(row["text"].encode()) for row in rows)
    (dropped,) = manifest.of_kind("drops")
    table = files.read_table(str(tmp_path / "documents" / dropped.name))
    assert table.schema.names == Drop.SCHEMA.names
    assert table.column("item").to_pylist() == ["http://example.org/1", "http://example.org/3"]


def test_every_page_is_in_one_range_whatever_the_files(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", [b"x"] * 250, indexes=3)
    ranges = page_ranges(str(folder), StageManifest.load(str(folder)))
    assert len(ranges) == 3
    urls = [p.url for r in ranges for p in r.pages()]
    assert sorted(urls) == sorted(f"http://example.org/{i}" for i in range(250))
    halves = [replace(ranges[0], stop=50), replace(ranges[0], start=50)]
    assert [p.url for r in halves for p in r.pages()] == [p.url for p in ranges[0].pages()]


def test_more_workers_and_processes_write_the_same_bytes(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(220)], indexes=2)
    one = run(pages, tmp_path / "one", engine)
    assert one.books.items_out == 220
    assert len(one.of_kind("documents")) == 4
    for workers in (2, SANDBOXES_A_PROCESS + 1):
        run(pages, tmp_path / str(workers), Engine(workers=workers))
        assert contents(tmp_path / "one") == contents(tmp_path / str(workers))


@pytest.mark.slow
def test_neither_order_nor_workers_change_a_document(tmp_path: Path, shared_data: Path) -> None:
    """100 real pages in three orders, the first by 1, 2 and 4 workers; with WEBTEXT_FULL=1 1,000 pages, each order by all of them."""
    full = bool(os.environ.get("WEBTEXT_FULL"))
    bodies = real_pages(shared_data / "html", 1_000 if full else 100)
    settings = DocumentsSettings(languages=("all",))
    rows = []
    for seed in range(3):
        order = random.Random(seed).sample(range(len(bodies)), len(bodies))
        pages = write_pages(tmp_path / f"pages-{seed}", [bodies[i] for i in order], indexes=4, numbers=order)
        trees = []
        for workers in (1, 2, 4) if full or seed == 0 else (1,):
            output = tmp_path / f"documents-{seed}-{workers}"
            books = run(pages, output, Engine(workers=workers), settings).books
            assert books.items_in == len(bodies) == books.items_out + sum(books.dropped.values())
            found = [row for shard in document_shards(str(output)) for row in files.read_table(shard.path).to_pylist()]
            rows.append(sorted(found, key=lambda row: row["url"]))
            trees.append(contents(output))
        assert all(tree == trees[0] for tree in trees)
    assert len(rows[0]) > len(bodies) / 2
    assert all(found == rows[0] for found in rows)


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


def test_a_damaged_archive_is_an_error_that_names_it(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1)])
    warc = pages / "warc-00000.warc.gz"
    warc.write_bytes(warc.read_bytes()[:100])
    with pytest.raises(InputError, match=r"warc-00000\.warc\.gz: 100 bytes, its manifest says \d+"):
        run(pages, tmp_path / "documents", engine)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"min_characters": -1}, "--min_characters -1: at least 0"),
        ({"page_cpu_seconds": 0.0}, "--page_cpu_seconds 0.0: must be more than 0"),
        ({"page_memory_mb": 1}, "--page_memory_mb 1: at least 512"),
        ({"languages": ()}, "--languages: name at least one, or 'all'"),
    ],
)
def test_senseless_settings_are_refused_by_name(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DocumentsSettings(**settings)


def test_explain_says_what_each_step_did(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1), b"<p>Too short.</p>"])
    settings = DocumentsSettings()
    assert STAGE.explain is not None
    kept = STAGE.explain(str(pages), "http://example.org/0", settings).splitlines()
    steps = [line.split()[0] for line in kept]
    assert steps == ["page", "fetched", "archived", "decode", "extract", "title", "boilerplate", "language", "kept", "text"]
    assert kept[-1].endswith(f"{STORY} 1."[-50:])
    dropped = STAGE.explain(str(pages), "http://example.org/1", settings).splitlines()
    assert dropped[-1] == "dropped      too_short: 10 characters, at least 128"
    with pytest.raises(InputError, match=r"http://nowhere\.org/: not among the pages"):
        STAGE.explain(str(pages), "http://nowhere.org/", settings)


def test_a_takedown_list_is_applied_and_counted(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(3)])
    listed = tmp_path / "takedown.txt"
    listed.write_text(f"# asked for on 4 May\nhttp://example.org/0\n{document_id(f'{STORY} 1.').hex()}\n")
    manifest = run(pages, tmp_path / "documents", engine, DocumentsSettings(takedown=str(listed)))
    assert manifest.books == Books(3, 1, {"taken_down": 2})
    listed.write_text("example.org\n")
    manifest = run(pages, tmp_path / "none", engine, DocumentsSettings(takedown=str(listed)))
    assert manifest.books == Books(3, 0, {"taken_down": 3})
    listed.write_text("no such thing\n")
    with pytest.raises(InputError, match=r"takedown\.txt, line 1: 'no such thing' is neither a URL, nor a domain"):
        run(pages, tmp_path / "neither", engine, DocumentsSettings(takedown=str(listed)))

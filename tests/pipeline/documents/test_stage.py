import gzip
import os
import random
from pathlib import Path

import pytest
from page_folders import STORY, contents, html_page, real_pages, run, write_pages

from pipeline.documents.extract import document_id
from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.stage import SANDBOXES_PER_PROCESS, STAGE, spread_sandboxes
from pipeline.engine.runner import Engine
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Books
from tokenizer.errors import InputError


def test_documents_are_in_the_order_of_the_pages_and_the_books_balance(tmp_path: Path, engine: Engine) -> None:
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
    (drops,) = manifest.of_kind("drops")
    table = files.read_table(str(tmp_path / "documents" / drops.name))
    assert table.schema.names == Drop.SCHEMA.names
    assert table.column("item").to_pylist() == ["http://example.org/1", "http://example.org/3"]


def test_any_number_of_workers_and_processes_writes_equal_bytes(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(220)], indexes=2)
    one = run(pages, tmp_path / "one", engine)
    assert one.books.items_out == 220
    assert len(one.of_kind("documents")) == 4
    for workers in (2, SANDBOXES_PER_PROCESS + 1):
        run(pages, tmp_path / str(workers), Engine(workers=workers))
        assert contents(tmp_path / "one") == contents(tmp_path / str(workers))


@pytest.mark.slow
def test_documents_do_not_depend_on_order_or_workers(tmp_path: Path, shared_data: Path) -> None:
    """100 real pages in three orders, the first by 1, 2 and 4 workers; with WEBTEXT_FULL=1 1,000 pages, every order by each number."""
    full = bool(os.environ.get("WEBTEXT_FULL"))
    bodies = real_pages(shared_data / "html", 1_000 if full else 100)
    settings = DocumentsSettings(languages=("all",))
    tables = []
    for seed in range(3):
        order = random.Random(seed).sample(range(len(bodies)), len(bodies))
        pages = write_pages(tmp_path / f"pages-{seed}", [bodies[i] for i in order], indexes=4, numbers=order)
        trees = []
        for workers in (1, 2, 4) if full or seed == 0 else (1,):
            output = tmp_path / f"documents-{seed}-{workers}"
            books = run(pages, output, Engine(workers=workers), settings).books
            assert books.items_in == len(bodies) == books.items_out + sum(books.dropped.values())
            rows = [row for shard in document_shards(str(output)) for row in files.read_table(shard.path).to_pylist()]
            tables.append(sorted(rows, key=lambda row: row["url"]))
            trees.append(contents(output))
        assert all(tree == trees[0] for tree in trees)
    assert len(tables[0]) > len(bodies) / 2
    assert all(rows == tables[0] for rows in tables)


def test_damaged_archive_is_an_error_that_names_the_file(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1)])
    warc = pages / "warc-00000.warc.gz"
    warc.write_bytes(warc.read_bytes()[:100])
    with pytest.raises(InputError, match=r"warc-00000\.warc\.gz: 100 bytes, its manifest says \d+"):
        run(pages, tmp_path / "documents", engine)


def stored(block: bytes) -> bytes:
    head = b"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/\r\nContent-Length: %d\r\n\r\n"
    return gzip.compress(head % len(block) + block + b"\r\n\r\n", mtime=0)


BAD_RECORDS = {
    0: gzip.compress(b"words"),
    1: gzip.compress(b"")[:12],
    2: b"",
    3: b"\x1f\x8b" + bytes(40),
    4: stored(b""),
    5: stored(b"words"),
    6: stored(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n" + bytes(range(256))),
    7: stored(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b" + bytes(40)),
    8: stored(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nshort"),
    9: stored(b"HTTP/1.1 200 OK\r\n\r\n<p>A page that was not fetched."),
}


def test_page_whose_record_cannot_be_read_is_a_drop(tmp_path: Path, engine: Engine) -> None:
    bodies = [html_page(number) for number in range(len(BAD_RECORDS) + 1)]
    pages = write_pages(tmp_path / "pages", bodies, members=BAD_RECORDS)
    manifest = run(pages, tmp_path / "documents", engine)
    assert manifest.books == Books(11, 1, {"bad_record": 10})
    (drops,) = manifest.of_kind("drops")
    details = files.read_table(str(tmp_path / "documents" / drops.name)).column("detail").to_pylist()
    assert all(detail.startswith("warc-00000.warc.gz at byte ") for detail in details)
    assert details[-1].endswith("the record's body is not the one that was fetched (its sha256)")
    account = STAGE.explain_input
    assert account is not None
    assert "dropped      bad_record: warc-00000.warc.gz" in account(str(pages), "http://example.org/3", DocumentsSettings())


def test_stage_whose_every_record_is_bad_ends_with_one_line(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(number) for number in range(10)], members=BAD_RECORDS)
    with pytest.raises(InputError, match=r"pages: no record of its 10 pages can be read; fetch the pages again$"):
        run(pages, tmp_path / "documents", engine)


@pytest.mark.parametrize(("workers", "processes", "sandboxes"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (5, 2, 3), (16, 4, 4)])
def test_sandboxes_are_spread_over_as_few_processes_as_can_feed_them(workers: int, processes: int, sandboxes: int) -> None:
    engine, per_process = spread_sandboxes(Engine(workers))
    assert (engine.workers, per_process) == (processes, sandboxes)


def test_worker_of_a_named_runner_has_one_sandbox_per_thread() -> None:
    engine = Engine(8, ("--runner=FlinkRunner",))
    assert spread_sandboxes(engine) == (engine, 1)


def test_a_filter_that_keeps_nothing_and_rules_of_english_are_named(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    short = f"{' '.join(STORY.split()[:20])}. Nobody in the harbour saw it coming. The boat came in late that day, said number"
    pages = write_pages(tmp_path / "pages", [html_page(number, short) for number in range(3)])
    settings = DocumentsSettings(languages=("EN", "de"), filters=("c4", "gopher"))
    manifest = run(pages, tmp_path / "documents", engine, settings)
    assert manifest.books.dropped == {"gopher": 3}
    assert manifest.settings["languages"] == ["en", "de"]
    assert "--filters gopher: dropped all 3 documents that reached it" in caplog.text
    assert "--filters gopher beyond English: its stop words" in caplog.text
    assert "--filters c4: dropped" not in caplog.text
    caplog.clear()
    run(pages, tmp_path / "english", engine, DocumentsSettings(filters=("c4",)))
    assert "--filters" not in caplog.text

"""The text of PDF files as a reader reads it, and their way from a link to a document."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from page_folders import run as run_documents
from pdf_files import column, pdf_of
from servers.stage_runs import drops_of, link, links_folder, pages_of, run

from pipeline.documents import pdf
from pipeline.documents.drops import ExtractDrop
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.settings import DocumentsSettings
from pipeline.engine.runner import Engine
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.settings import PagesSettings
from pipeline.pages.warc_writer import exchange_members
from pipeline.records import Document, Drop, RawPage
from pipeline.storage import files
from pipeline.storage.manifest import Books

LEFT = ["The keeper of the old lighthouse climbed", "the stairs every evening at six and wrote", "the weather into a large green book that",
        "his grandfather had left him."]  # fmt: skip
RIGHT = [
    "In the winter the road to the village was",
    "closed for weeks, and the only visitor was",
    "the boat that brought oil and bread.",
]
LEFT_TEXT = " ".join(LEFT)
RIGHT_TEXT = " ".join(RIGHT)
PROSE = f"{LEFT_TEXT} {RIGHT_TEXT}"


def text_of(*pages: list[tuple[int, int, str]]) -> str:
    return pdf.text_and_title(pdf_of(pages))[0].strip()


def test_columns_are_read_one_after_the_other() -> None:
    assert text_of([*column(LEFT), *column(RIGHT, 320)]) == f"{LEFT_TEXT}\n{RIGHT_TEXT}"


@pytest.mark.parametrize(("lines", "text"), [
    (["The keeper of the old light-", "house climbed the stairs at six."], "The keeper of the old lighthouse climbed the stairs at six."),
    (["A well-known keeper is a well-", "known man in the village."], "A well-known keeper is a well-known man in the village."),
    (["The keepers of Schleswig-", "Holstein wrote it down at once."], "The keepers of Schleswig-Holstein wrote it down at once."),
    (["The storms of the years 1914-", "1918 took two roofs and a pier."], "The storms of the years 1914-1918 took two roofs and a pier."),
    (["It was the work of many inter-", "national keepers of the light."], "It was the work of many international keepers of the light."),
])  # fmt: skip
def test_words_that_a_line_breaks_are_whole(lines: list[str], text: str) -> None:
    assert text_of(column(lines)).replace("\n", " ") == text


def test_lines_of_a_paragraph_are_joined_and_others_are_not() -> None:
    items = ["1. A first point of a list that is long", "2. A second point of a list that is long"]
    lines = ["A short heading", *LEFT, "def f():", "return 1", *items]
    expected = ["A short heading", LEFT_TEXT, *lines[5:]]
    assert text_of(column(lines)).split("\n") == expected


def test_running_heads_and_page_numbers_go() -> None:
    pages = [
        [(72, 760, f"Chapter 3: The light {n}"), *column(LEFT), *column(RIGHT, top=600), (300, 40, str(n))] for n in range(12, 18)
    ]
    assert text_of(*pages).split("\n\n") == [f"{LEFT_TEXT}\n{RIGHT_TEXT}"] * 6


def test_a_sentence_goes_on_over_pages() -> None:
    assert text_of(column([*LEFT[:2]]), column(LEFT[2:])) == LEFT_TEXT


@pytest.mark.parametrize("body", [b"%PDF-1.7", pdf_of([column(LEFT)])[:300], b"%PDF-1.4\n" + bytes(range(256)) * 20, b"",
                                  b"%PDF-1.4\n%%EOF",
                                  pdf_of([[]])], ids=["head", "cut", "noise", "empty", "no objects", "no text"])  # fmt: skip
def test_a_file_without_text_is_a_drop(body: bytes) -> None:
    with Sandbox(replace(DEFAULT_RULES, pdf=True)) as sandbox:
        result = sandbox.extract(RawPage("http://e.org/a.pdf", body, media_type="application/pdf")).result
        assert isinstance(result, Drop)
        assert result.reason in (ExtractDrop.EXTRACTOR_FAILED, ExtractDrop.NO_TEXT)
        kept = sandbox.extract(
            RawPage("http://e.org/a.pdf", pdf_of([column([*LEFT, *RIGHT])]), media_type="application/pdf")
        ).result
    assert isinstance(kept, Document)
    assert (kept.title, kept.text) == ("The tide", f"{LEFT_TEXT}\n{RIGHT_TEXT}")


def test_a_pdf_comes_from_a_crawl_when_it_is_asked_for(tmp_path: Path, engine: Engine) -> None:
    url, at = "https://a.example/story.pdf", datetime(2016, 5, 1, tzinfo=UTC)
    response = HttpResponse(url, 200, "OK", (("Content-Type", "application/pdf"),), pdf_of([column([*LEFT, *RIGHT])]), ())
    (tmp_path / "a.warc.gz").write_bytes(exchange_members(response, at).members)
    links = links_folder(tmp_path / "links", [link(url, "abc", at=at)])
    archive = (str(tmp_path / "a.warc.gz"),)
    run(links, tmp_path / "without", engine, fetch_from=archive)
    assert drops_of(tmp_path / "without") == {url: "not_html"}
    run(links, tmp_path / "pages", engine, fetch_from=archive, pdf=True)
    assert [page.media_type for page in pages_of(tmp_path / "pages")] == ["application/pdf"]
    manifest = run_documents(tmp_path / "pages", tmp_path / "documents", engine, DocumentsSettings(pdf=True))
    assert manifest.books == Books(1, 1, {})
    (path,) = (tmp_path / "documents").glob("documents-*.parquet")
    assert files.read_table(str(path)).column("text").to_pylist() == [f"{LEFT_TEXT}\n{RIGHT_TEXT}"]
    assert PagesSettings().kept_types < PagesSettings(pdf=True).kept_types

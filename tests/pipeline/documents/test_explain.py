from pathlib import Path

import pytest
from page_folders import STORY, html_page, write_pages

from pipeline.documents.settings import DocumentsSettings
from pipeline.documents.stage import STAGE
from pipeline.records import Page
from pipeline.storage import files
from tokenizer.errors import InputError


def test_explain_lists_what_each_step_does_to_a_page(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(1), b"<p>Too short.</p>"])
    settings = DocumentsSettings()
    assert STAGE.explain_input is not None
    kept = STAGE.explain_input(str(pages), "http://example.org/0", settings).splitlines()
    steps = [line.split()[0] for line in kept]
    assert steps == ["page", "fetched", "archived", "decode", "extract", "title", "boilerplate", "language", "kept", "text"]
    assert kept[-1].endswith(f"{STORY} 1."[-50:])
    dropped = STAGE.explain_input(str(pages), "http://example.org/1", settings).splitlines()
    assert dropped[-1] == "dropped      too_short: 10 characters, at least 128"
    with pytest.raises(InputError, match=r"http://nowhere\.org/: not among the pages"):
        STAGE.explain_input(str(pages), "http://nowhere.org/", settings)


def explain(pages: Path, url: str) -> str:
    assert STAGE.explain_input is not None
    return STAGE.explain_input(str(pages), url, DocumentsSettings())


@pytest.mark.parametrize("url", ["http://short.org/x", "https://www.short.org/x/", "http://end.org/", "end.org"])
def test_a_page_is_found_by_an_address_that_led_to_it(tmp_path: Path, url: str) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(2)])
    (path,) = pages.glob("pages-*.parquet")
    rows = files.read_table(str(path)).to_pylist()
    rows[1] |= {"final_url": "http://end.org/", "redirects": ["http://short.org/x"]}
    files.publish_table(str(path), Page.table(map(Page.from_row, rows)))
    assert explain(pages, url).startswith("page         http://example.org/1\nredirected   http://end.org/\n")


@pytest.mark.parametrize("spelling", [
    "http://example.org/1", "https://example.org/1", "https://www.example.org/1/", "example.org/1", "HTTP://EXAMPLE.org:80/1",
    "m.example.org/1",
    "http://example.org/1#top", "http://example.org/1?utm_source=x", "http://example.org/./2/../1", "http://example.org/%31",
    " http://example.org/1 ",
])  # fmt: skip
def test_any_spelling_of_an_address_is_explained(tmp_path: Path, spelling: str) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(3)])
    assert explain(pages, spelling).startswith("page         http://example.org/1\n")


@pytest.mark.parametrize("text", ["ftp://example.org/1", "", "http://", "no address"])
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(0)])
    with pytest.raises(InputError, match=r"--explain .*: not an address"):
        explain(pages, text)

"""A take-down list takes down every spelling of what it lists, and says which of its lines did nothing."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from page_folders import STORY, html_page, run, write_pages

from pipeline.documents import takedown
from pipeline.documents.drops import ExtractDrop
from pipeline.documents.extract import document_id, extract
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.settings import DocumentsSettings
from pipeline.engine.runner import Engine
from pipeline.records import Drop, RawPage
from pipeline.storage.manifest import Books
from pipeline.urls import dedup_key
from tokenizer.errors import InputError


def test_takedown_list_drops_pages_by_url_domain_and_document_id(tmp_path: Path, engine: Engine) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(3)])
    listed = tmp_path / "takedown.txt"
    listed.write_text(f"# asked for on 4 May\nhttp://example.org/0\n{document_id(f'{STORY} 1.').hex()}\n")
    manifest = run(pages, tmp_path / "documents", engine, DocumentsSettings(takedown=str(listed)))
    assert manifest.books == Books(3, 1, {"taken_down": 2})
    listed.write_text("example.org\n")
    manifest = run(pages, tmp_path / "none", engine, DocumentsSettings(takedown=str(listed)))
    assert manifest.books == Books(3, 0, {"taken_down": 3})
    listed.write_text("no such thing\n")
    with pytest.raises(InputError, match=r"takedown\.txt, line 1: 'no' is neither a URL, nor a domain"):
        run(pages, tmp_path / "neither", engine, DocumentsSettings(takedown=str(listed)))


def listed(folder: Path, *lines: str) -> takedown.Takedown:
    path = folder / "list.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return takedown.load(str(path))


def is_taken_down(page: RawPage, listed: takedown.Takedown) -> bool:
    result = extract(page, ExtractionRules(takedown=listed, min_characters=0, languages=frozenset()))
    return isinstance(result, Drop) and result.reason is ExtractDrop.TAKEN_DOWN


def crawled(url: str, final_url: str = "", redirects: tuple[str, ...] = ()) -> RawPage:
    """A page as the stage `pages` gives it."""
    return RawPage(
        url, html_page(1), final_url=final_url or url, dedup_key=dedup_key(url), domain="example.org", redirects=redirects
    )


PAGE = "http://www.target.org/story/?a=1&b=2"


@pytest.mark.parametrize("line", [
    PAGE, "https://www.target.org/story/?a=1&b=2", "http://target.org/story?b=2&a=1", "HTTP://TARGET.org:80/story?a=1&b=2",
    "http://m.target.org/story/?a=1&b=2", "https://target.org/story?a=1&b=2#top", "http://target.org/story?a=1&b=2&utm_source=x",
    "target.org/story?a=1&b=2", "www.target.org/x/../story/?a=1&b=2", "http://user:secret@target.org/%73tory?a=1&b=2",
    "http://target.org/story?a=1&b=2 # asked 3 May", "http://target.org/story?a=1&b=2\t2024-05-03",
    "http://target.org/story?a=1&b=2, J. Doe", "http://target.org/story?a=1&b=2 at the author's wish",
    "\ufeffhttp://target.org/story?a=1&b=2", "  http://target.org/story?a=1&b=2  ",
    "target.org", "TARGET.ORG.", "www.target.org", "*.target.org", ".target.org", "target.org/", "target.org # the whole site",
])  # fmt: skip
@pytest.mark.parametrize("place", ["address", "final address", "redirect"])
def test_any_spelling_of_an_address_takes_its_page_down(tmp_path: Path, line: str, place: str) -> None:
    short = "http://short.example.org/x"
    page = {"address": crawled(PAGE), "final address": crawled(short, PAGE),
            "redirect": crawled(short, "http://other.org/end", (short, PAGE))}[place]  # fmt: skip
    assert is_taken_down(page, listed(tmp_path, line))
    assert not is_taken_down(crawled("http://target.org.example.org/story?a=1&b=2"), listed(tmp_path, line))
    assert not is_taken_down(crawled("http://mytarget.org/story?a=1&b=2"), listed(tmp_path, line))


@pytest.mark.parametrize("line", ["bücher.example", "xn--bcher-kva.example", "BÜCHER.example", "www.bücher.example", "bücher。example",
                                  "bu\u0308cher.example", "xn--bcher-kva.example.", "*.bücher.example", "http://bücher.example/a",
                                  "http://xn--bcher-kva.example/a/"])  # fmt: skip
@pytest.mark.parametrize("url", ["http://xn--bcher-kva.example/a", "https://www.bücher.example/a/"])
def test_international_hosts_match_in_both_forms(tmp_path: Path, line: str, url: str) -> None:
    assert is_taken_down(crawled(url), listed(tmp_path, line))


@pytest.mark.parametrize("host", ["blog.target.org", "a.blog.target.org", "www.blog.target.org"])
def test_a_listed_subdomain_takes_down_its_hosts_and_no_sibling(tmp_path: Path, host: str) -> None:
    assert is_taken_down(crawled(f"http://{host}/"), listed(tmp_path, "blog.target.org"))
    assert not is_taken_down(crawled("http://shop.target.org/"), listed(tmp_path, "blog.target.org"))


def test_an_address_with_a_blank_in_it_is_no_address_with_a_note(tmp_path: Path) -> None:
    assert is_taken_down(crawled("http://target.org/my%20story.html"), listed(tmp_path, "http://target.org/my story.html"))


@pytest.mark.parametrize("line", ["story", "ftp://example.org/a", "http://", "http:///a", "1234", "deadbeef" * 5, "jo@example.org",
                                  "||ads.example^",                                   "http://exa mple.org/",
                                  "/relative/path", "mailto:jo@example.org"])  # fmt: skip
def test_a_line_that_names_nothing_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"list\.txt, line 3: .* is neither a URL, nor a domain, nor a document id"):
        listed(tmp_path, "# a list", "", line)


def test_lines_that_match_nothing_are_reported(tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    pages = write_pages(tmp_path / "pages", [html_page(i) for i in range(3)])
    path = tmp_path / "takedown.txt"
    path.write_text("https://www.example.org/0/  # asked 3 May\nhttp://example.org/9\n\nexample.nosuchsuffix\nnever-linked.org\n")
    with caplog.at_level(logging.INFO):
        run(pages, tmp_path / "documents", engine, DocumentsSettings(takedown=str(path)))
    assert "line 4: 'example.nosuchsuffix' can match no page of the web" in caplog.text
    assert (
        "took down 1 pages; 3 of 4 lines match none (line 2: http://example.org/9; line 4: example.nosuchsuffix; line 5:"
        in caplog.text
    )
    caplog.clear()
    path.write_text("example.org/0\n")
    with caplog.at_level(logging.INFO):
        run(pages, tmp_path / "again", engine, DocumentsSettings(takedown=str(path)))
    assert "took down 1 pages; every line matches" in caplog.text


def test_a_list_without_a_match_is_reported(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(f"http://gone.org/{number}" for number in range(30)))
    takedown.report_matches(str(path), takedown.entries(str(path)), Counter())
    assert "took down 0 pages; 30 of 30 lines match none (line 1: http://gone.org/0;" in caplog.text
    assert "and 20 more)" in caplog.text

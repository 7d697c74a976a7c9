"""Pages that a take-down list names are not fetched, by whichever name; pages that lead to a listed address are not kept."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.listed import NOTHING_LISTED, Listed
from pipeline.pages.outcomes import DroppedLink, FetchedPage, PageDrop
from pipeline.pages.warc_writer import RedirectChain
from pipeline.records import Link, Page, Submission
from pipeline.urls import dedup_key, domain_of

URL = "http://www.target.org/story/?a=1"


def link(url: str, *ids: str) -> Link:
    posts = tuple(Submission(name, "science", 3, None) for name in ids or ("zzz",))
    return Link(url, dedup_key(url), domain_of(url), 3, None, posts)


def listed(folder: Path, *lines: str) -> Listed:
    path = folder / "list.txt"
    path.write_text("\n".join(lines))
    return Listed.of(str(path))


@pytest.mark.parametrize("line", [
    URL, "https://target.org/story?a=1#top", "target.org", "*.org.", "t3_ABC", "http://TARGET.org:80/story?a=1&utm_medium=y",
    "m.target.org/story?a=1", "http://me:pw@target.org/%73tory?a=1",
])  # fmt: skip
def test_a_link_is_listed_by_every_name(tmp_path: Path, line: str) -> None:
    if line == "*.org.":
        line = "*.target.org."
    found = listed(tmp_path, line)
    assert set(found.drops({URL: link(URL, "x", "abc")})) == {URL}
    assert not found.drops({"http://other.org/": link("http://other.org/", "abcd")})


@pytest.mark.parametrize("line", ["http://end.example/x", "end.example", "http://between.example/"])
def test_a_page_that_was_redirected_to_a_listed_address_is_no_page(tmp_path: Path, line: str) -> None:
    found = listed(tmp_path, line)
    response = HttpResponse("http://end.example/x", 200, "OK", [("content-type", "text/html")], b"<p>x", None)
    chain = RedirectChain(urls=("http://between.example/",))
    page = FetchedPage(URL, response, "text/html", None, datetime(2018, 1, 1, tzinfo=UTC), chain, b"")
    outcome = found.outcome(page)
    assert isinstance(outcome, DroppedLink)
    assert (outcome.url, outcome.reason) == (URL, PageDrop.TAKEN_DOWN)
    assert NOTHING_LISTED.outcome(page) is page
    at = (URL, dedup_key(URL), "target.org", 3, None, "http://end.example/x", datetime(2018, 1, 1, tzinfo=UTC), 200, None, None)
    held = Page(*at, "w", 0, 0, 0, bytes(32), ("http://between.example/",))
    assert isinstance(found.held(held), DroppedLink)
    assert NOTHING_LISTED.held(held) is held

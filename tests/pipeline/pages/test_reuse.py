"""--replace and --refetch of the stage `pages`: what is held is reused unless --refetch says otherwise."""

import errno
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from servers.failing_web import GOOD, LARGE, LINKED, PASSING, asked, assert_whole, files_of, is_link, run, web
from servers.replay import ReplayServer, Reply
from servers.stage_runs import MAY_DAY, body_of, drops_of, link, links_folder, pages_of

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.fetch import FetchPart
from pipeline.pages.journal import Journal
from pipeline.pages.reuse import ASKED_ANEW, change
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, bucket_of
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest
from pipeline.urls import fetch_url
from tokenizer.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pages"


@pytest.fixture
def links(tmp_path: Path) -> str:
    return links_folder(tmp_path / "links", [link(url, "abc") for url in LINKED])


CHANGES: dict[str, tuple[dict[str, object], set[str]]] = {
    "more_retries": ({"retries": 1}, {url for url in PASSING if is_link(url)} - {"http://lost.example/"}),
    "longer_deadline": ({"deadline_seconds": 90.0}, set()),
    "shorter_deadline": ({"deadline_seconds": 30.0}, set()),
    "larger_pages": ({"max_body_bytes": 2 * LARGE}, {"http://large.example/"}),
    "smaller_pages": ({"max_body_bytes": 20}, set()),
    "another_instant": ({"fetched_at": "2026-02-01T12:00:00Z"}, set()),
    "smaller_warc_files": ({"warc_bytes": 100_000}, set()),
    "more_networks": ({"allow_addresses": ("127.0.0.0/8",)}, set()),
    "a_contact": (
        {"contact": "https://example.com/"},
        {"http://forbidden.example/", "http://teapot.example/", "http://legal.example/", "http://often.example/"},
    ),
    "another_agent": (
        {"user_agent": "other/1.0"},
        {"http://forbidden.example/", "http://teapot.example/", "http://legal.example/", "http://often.example/"},
    ),
    "no_robots": ({"robots": False}, {"http://private.example/", "http://lost.example/"}),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_replace_asks_only_what_changed_settings_may_change(name: str, links: str, folder: Path) -> None:
    changed, expected = CHANGES[name]
    with ReplayServer(web()) as server:
        run(links, folder, server)
        pages, before = pages_of(folder), server.hits.copy()
        run(links, folder, server, anew=True, **changed)
        assert asked(server, before) == expected
        assert_whole(folder, LINKED)
        before = server.hits.copy()
        run(links, folder, server, **changed)
        assert server.hits == before
    if name == "smaller_pages":
        assert Counter(drops_of(folder).values())["too_large"] == len(GOOD) + 1
    else:
        assert {page.url for page in pages} <= {page.url for page in pages_of(folder)}


def test_every_recorded_setting_has_a_rule() -> None:
    recorded = {field.name for field in fields(PagesSettings) if field.metadata["recorded"]}
    assert recorded - ASKED_ANEW.keys() == set()


def test_a_setting_of_another_version_asks_all_drops_and_no_page() -> None:
    assert "http_404" in change({"of_old": 1}, {}).asked
    assert not change({"of_old": 1}, {}).vets_robots


def test_pages_that_robots_now_forbids_are_dropped_and_the_others_not_asked(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        run(links, folder, server, robots=False)
        server.pages["http://good1.example/robots.txt"] = Reply(b"User-agent: webtext\nDisallow: /", "text/plain")
        server.pages["http://good2.example/robots.txt"] = Reply(b"gone for now", status=503)
        server.pages["http://good3.example/robots.txt"] = None
        before = server.hits.copy()
        run(links, folder, server, anew=True)
        assert asked(server, before) == set()
    dropped = {url for url, reason in drops_of(folder).items() if reason == "robots"}
    assert dropped == {"http://good1.example/", "http://private.example/"}
    assert_whole(folder, LINKED)


def test_replace_with_other_links_reuses_the_pages_of_those_that_stay(tmp_path: Path, links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        run(links, folder, server)
        staying = [url for url in LINKED if url not in (GOOD[0], "http://gone.example/a")]
        new = "http://new.example/"
        server.pages[new] = b"<p>New"
        again = [replace(link(url, "abc", "def"), karma=77) for url in [*staying, new]]
        buckets: list[list[Link]] = [[] for _ in range(4)]
        for one in again:
            buckets[bucket_of(one.url, 4)].append(one)
        others = links_folder(tmp_path / "others", *buckets)
        with pytest.raises(InputError, match="input 'links' differs"):
            run(others, folder, server)
        before = server.hits.copy()
        run(others, folder, server, anew=True)
        assert asked(server, before) == {new}
    assert_whole(folder, [*staying, new])
    assert {(page.karma, page.submitted_at) for page in pages_of(folder)} == {(77, MAY_DAY)}


def test_an_unfinished_crawl_is_reused_with_other_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full in the middle of a crawl; what its journal holds is not asked again under another deadline."""
    many = [f"http://more{number}.example/" for number in range(120)] + ["http://gone.example/a"]
    links = links_folder(folder.parent / "links", [link(url) for url in many])
    append = Journal.append

    def full(journal: Journal, head: dict[str, Any], blob: bytes = b"") -> None:
        if len(journal.entries) >= 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(journal, head, blob)

    with ReplayServer(web(), Reply(b"<p>More")) as server:
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", full)
            with pytest.raises(OSError, match="No space left"):
                run(links, folder, server, threads=4)
        held = sum(is_link(url) for url in server.hits)
        with pytest.raises(InputError, match=r"deadline_seconds was 60\.0, now 90\.0"):
            run(links, folder, server, deadline_seconds=90.0)
        before = server.hits.copy()
        run(links, folder, server, anew=True, deadline_seconds=90.0)
        again = asked(server, before)
    assert len(many) - 64 < len(again) <= len(many) - 60  # each of four threads may have passed the check for the sixtieth
    assert len(again) <= len(many) - held + 4  # and requests that were open when the disk was full
    assert_whole(folder, many)


def test_parts_that_were_finished_are_reused_too(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part of a crawl is published, another ends by a full disk: both are reused under other settings."""
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 1)
    buckets: list[list[Link]] = [[] for _ in range(4)]
    for url in LINKED:
        buckets[bucket_of(url, 4)].append(link(url))
    links = links_folder(tmp_path / "links", *buckets)
    publish = FetchPart.__call__

    def full(work: FetchPart, part: Part[Share], writer: PartWriter) -> None:
        if part.key.startswith("00002"):
            raise OSError(errno.ENOSPC, "No space left on device")
        publish(work, part, writer)

    with ReplayServer(web()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(FetchPart, "__call__", full)
            with pytest.raises(OSError, match="No space left"):
                run(links, folder, server)
        before = server.hits.copy()
        done = {url for url in LINKED if before[url]}
        assert done
        run(links, folder, server, anew=True, deadline_seconds=90.0)
        assert asked(server, before) & done <= {url for url in PASSING if before[url] > 1}
    assert_whole(folder, LINKED)


def test_pages_of_the_web_are_not_replaced_by_archives_unasked(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        first = run(links, folder, server)
        archive = str(next(folder.glob("*.warc.gz")))
        with pytest.raises(InputError, match="add --refetch"):
            run(links, folder, server, anew=True, fetch_from=(archive,))
        assert StageManifest.load(str(folder)) == first


def test_refetch_asks_everything_anew(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        run(links, folder, server)
        run(links, folder, server, retry_failed=True)
        before = server.hits.copy()
        run(links, folder, server, refetch=True)
        assert asked(server, before) == set(LINKED) - {"http://private.example/", "http://lost.example/"}
    assert_whole(folder, LINKED)
    assert not any("-u" in name for name in files_of(folder, "pages"))


def test_refetch_goes_on_where_it_was(links: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def full(journal: Journal, head: dict[str, Any], blob: bytes = b"") -> None:
        if len(journal.entries) >= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(journal, head, blob)

    with ReplayServer(web()) as server:
        run(links, folder, server)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", full)
            with pytest.raises(OSError, match="No space left"):
                run(links, folder, server, threads=1, refetch=True)
        before = server.hits.copy()
        run(links, folder, server, refetch=True)
        assert len(asked(server, before)) <= len(LINKED) - 10
    assert_whole(folder, LINKED)


def test_pages_of_an_updated_crawl_are_found_in_its_folder_as_an_archive(tmp_path: Path, folder: Path) -> None:
    """Records hide keys of URLs; the crawl's indexes, which an update writes anew, name the links."""
    urls = [f"http://shop.example/?token=secret{number}&page={number}" for number in range(3)]
    links = links_folder(tmp_path / "links", [link(url) for url in urls])
    with ReplayServer({url: f"<p>{url}".encode() for url in urls[:2]} | {urls[2]: Reply(b"busy", status=503)}) as server:
        run(links, folder, server)
        server.pages[fetch_url(urls[2])] = b"<p>Back"
        run(links, folder, server, retry_failed=True)
        run(links, tmp_path / "copy", server, fetch_from=(str(folder),))
    assert {page.url: body_of(folder, page) for page in pages_of(folder)} == {
        page.url: body_of(tmp_path / "copy", page) for page in pages_of(tmp_path / "copy")
    }
    assert len(pages_of(folder)) == 3

"""--retry_failed, --replace and --refetch of the stage `pages`: what is held is reused unless --refetch says otherwise."""

import errno
import logging
import multiprocessing
import signal
from collections import Counter
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from servers.crawler import retry_failed
from servers.replay import NOT_FOUND, ReplayServer, Reply, Reset
from servers.stage_runs import MAY_DAY, body_of, drops_of, link, links_folder, pages_of, pages_settings

from pipeline.cli.plan import plan_lines
from pipeline.engine.parts import Part
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.engine.writer import PartWriter
from pipeline.pages.fetch import FetchPart
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import MAY_PASS
from pipeline.pages.reuse import ASKED_ANEW, change
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, bucket_of
from pipeline.pages.stage import STAGE
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check
from pipeline.urls import fetch_url
from tokenizer.errors import InputError, OutageError

GOOD = [f"http://good{number}.example/" for number in range(6)]
PASSING: dict[str, Reply | Reset | None] = {
    "http://closed.example/": None,
    "http://reset.example/": Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    "http://busy.example/a": Reply(b"busy", status=503),
    "http://busy.example/b": Reply(b"busy", status=503),
    "http://broken.example/": Reply(b"broken", status=500),
    "http://gateway.example/": Reply(b"bad", status=502),
    "http://late.example/": Reply(b"late", status=504),
    "http://often.example/": Reply(b"too many", status=429),
    "http://idle.example/": Reply(b"idle", status=408),
    "http://cloud.example/": Reply(b"origin is down", status=522),
    "http://full.example/": Reply(b"no space", status=507),
    "http://lost.example/robots.txt": Reply(b"no", status=500),
    "http://lost.example/": b"<p>Not seen",  # type: ignore[dict-item]
}
ANSWERS: dict[str, Reply | bytes] = {
    "http://gone.example/a": NOT_FOUND,
    "http://gone.example/b": Reply(b"gone", status=410),
    "http://forbidden.example/": Reply(b"no", status=403),
    "http://teapot.example/": Reply(b"tea", status=418),
    "http://legal.example/": Reply(b"law", status=451),
    "http://pdf.example/": Reply(b"%PDF-1.4", "application/pdf"),
    "http://empty.example/": b"",
    "http://private.example/robots.txt": Reply(b"User-agent: *\nDisallow: /", "text/plain"),
    "http://private.example/": b"<p>Private",
    "http://round.example/": Reply(status=302, headers=(("Location", "http://round.example/"),)),
    "http://nowhere.example/": Reply(status=302, headers=(("Location", "ftp://a.example/"),)),
    "http://large.example/": b"<p>" + b"word " * 4000,
}
LARGE = 10_000


def is_link(url: str) -> bool:
    return not url.endswith("/robots.txt")


def web() -> dict[str, Any]:
    return {url: f"<p>{url} is here".encode() for url in GOOD} | PASSING | ANSWERS


LINKED = [url for url in web() if is_link(url)]


def settings(server: ReplayServer, **others: object) -> PagesSettings:
    return pages_settings(**({"proxy": server.proxy_url, "max_body_bytes": LARGE} | others))


def run(links: str, folder: Path, server: ReplayServer, *, anew: bool = False, **others: object) -> StageManifest:
    return STAGE.run(Call({"links": links}, str(folder), settings(server, **others), Engine(workers=1, replace=anew)))


def asked(server: ReplayServer, before: Counter[str]) -> set[str]:
    return {url for url in server.hits - before if is_link(url)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pages"


@pytest.fixture
def links(tmp_path: Path) -> str:
    return links_folder(tmp_path / "links", [link(url, "abc") for url in LINKED])


def files_of(folder: Path, kind: str) -> dict[str, bytes]:
    return {entry.name: (folder / entry.name).read_bytes() for entry in StageManifest.load(str(folder)).of_kind(kind)}


def assert_whole(folder: Path, linked: list[str]) -> None:
    """All files match the manifest, every link is a page or a drop once, every page's record gives its body."""
    manifest = StageManifest.load(str(folder))
    check(str(folder))
    pages, drops = pages_of(folder), drops_of(folder)
    assert sorted([*drops, *(page.url for page in pages)]) == sorted(linked)
    assert (manifest.books.items_in, manifest.books.items_out) == (len(linked), len(pages))
    assert manifest.books.dropped == dict(sorted(Counter(drops.values()).items()))
    assert manifest.counters["body_bytes"] == sum(page.body_bytes for page in pages)
    assert {len(body_of(folder, page)) - page.body_bytes for page in pages} <= {0}
    named = {entry.name for entry in manifest.files}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert present - named <= {"manifest.json", "run.json"}


def test_retry_asks_the_failures_that_may_pass_and_nothing_else(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        first = run(links, folder, server)
        failed = {url for url, reason in drops_of(folder).items() if reason in MAY_PASS}
        assert failed == {url for url in PASSING if is_link(url)}
        warcs, before = files_of(folder, "warc"), server.hits.copy()
        back = sorted(failed)[:5]
        server.pages |= {url: f"<p>{url} is back".encode() for url in back} | {"http://full.example/": NOT_FOUND}
        second = run(links, folder, server, retry_failed=True)
        assert asked(server, before) == {url for url in failed if url != "http://lost.example/"}
    assert_whole(folder, LINKED)
    assert second.books.items_out == first.books.items_out + 5
    assert drops_of(folder)["http://full.example/"] == "http_404"
    assert warcs.items() < files_of(folder, "warc").items()
    assert second.sha256 != first.sha256  # later stages are stale
    assert {page.url for page in pages_of(folder)} == {*GOOD, *back}


def test_retry_of_a_folder_whose_drops_are_answers_asks_nothing(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        server.pages |= dict.fromkeys(PASSING, NOT_FOUND)
        first = run(links, folder, server)
        before = server.hits.copy()
        assert run(links, folder, server, retry_failed=True) == first
        assert server.hits == before


def test_retries_may_follow_each_other(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        run(links, folder, server)
        failed = sorted(url for url in PASSING if is_link(url) and "lost" not in url)
        for turn in range(3):
            server.pages |= dict.fromkeys(failed[turn::4], b"<p>Back")
            run(links, folder, server, retry_failed=True)
            assert_whole(folder, LINKED)
        before = server.hits.copy()
        run(links, folder, server)
        assert server.hits == before
    assert len(pages_of(folder)) == len(GOOD) + sum(len(failed[turn::4]) for turn in range(3))
    assert StageManifest.load(str(folder)).counters["updates"] == 3


def test_closing_line_tells_failures_that_may_pass_from_answers(
    links: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplayServer(web()) as server, caplog.at_level(logging.INFO):
        run(links, folder, server)
        run(links, folder, server)
    finished, again = [record.message for record in caplog.records if record.message.startswith("pages: ")]
    assert finished.endswith("; 12 of the drops may pass, --retry_failed asks them again")
    assert again.startswith("pages: up to date; 12 of the drops may pass")


def test_a_plan_says_what_a_retry_and_a_refetch_would_ask(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        run(links, folder, server)

        def plan(**others: object) -> str:
            return next(plan_lines([(STAGE, Call({"links": links}, str(folder), settings(server, **others), Engine()))]))

        assert plan().endswith("up to date")
        assert "would ask 12 failures that may pass again" in plan(retry_failed=True)
        assert "would ask everything anew" in plan(refetch=True)
        assert "would be refused without --replace: retries was 0, now 2" in plan(retries=2)


def test_retry_without_a_network_changes_nothing(links: str, folder: Path) -> None:
    with ReplayServer(web()) as server:
        first = run(links, folder, server)
        kept = {path: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}
        dead = settings(server, retry_failed=True)
    with pytest.raises(OutageError, match="no site that answered before can be reached"):
        STAGE.run(Call({"links": links}, str(folder), dead, Engine(workers=1)))
    assert StageManifest.load(str(folder)) == first
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.slow
def test_retry_survives_kills(links: str, folder: Path) -> None:
    """Until the new manifest is there, the old one and all of its files are; each killed retry goes on where it was."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pipeline.pages.stage", "apache_beam.io.filesystems"])
    with ReplayServer(web()) as server:
        first = run(links, folder, server)
        server.pages |= {url: b"<p>Back" for url in PASSING if is_link(url)}
        del server.pages["http://lost.example/robots.txt"]
        start = sum(server.hits.values())
        for number in range(20):
            before = sum(server.hits.values())
            child = processes.Process(target=retry_failed, args=(links, str(folder), settings(server, threads=2)))
            child.start()
            while child.is_alive() and sum(server.hits.values()) < before + 3:
                child.join(0.002)
            if number < 6:
                child.kill()
            child.join()
            manifest = StageManifest.load(str(folder))
            check(str(folder))
            if child.exitcode == 0:
                break
            assert child.exitcode == -signal.SIGKILL
            assert manifest == first or manifest.counters["updates"] == 1
        assert child.exitcode == 0
        assert number >= 1
        pages_asked = sum(times for url, times in server.hits.items() if is_link(url))
    assert len(pages_of(folder)) == len(GOOD) + 12
    assert pages_asked <= start + 12 + 2 * number
    assert_whole(folder, LINKED)


def test_files_that_an_update_replaced_are_removed_after_a_kill(
    links: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends between the manifest and the removal of what it replaces: the next run, of any kind, removes it."""

    def killed(_path: str) -> None:
        raise KeyboardInterrupt

    with ReplayServer(web()) as server:
        run(links, folder, server)
        server.pages["http://busy.example/a"] = b"<p>Back"
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.engine.stage_folder.finish_closing", killed)
            with pytest.raises(KeyboardInterrupt):
                run(links, folder, server, retry_failed=True)
        assert StageManifest.load(str(folder)).counters["updates"] == 1
        before = server.hits.copy()
        run(links, folder, server)
        assert server.hits == before
    assert_whole(folder, LINKED)


@pytest.mark.slow
def test_retry_follows_redirects_to_hosts_of_other_parts(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"h{number}.example" for number in range(8)]
    pages: dict[str, Any] = {f"http://{host}/": b"<p>At " + host.encode() for host in hosts}
    moved = {f"http://{a}/to": Reply(status=301, headers=(("Location", f"http://{b}/"),)) for a, b in pairwise(hosts)}
    buckets: list[list[Link]] = [[] for _ in range(4)]
    for url in [*pages, *moved]:
        buckets[bucket_of(url, 4)].append(link(url))
    links = links_folder(tmp_path / "links", *buckets)
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 1)
    with ReplayServer(pages | dict.fromkeys(moved, Reply(b"busy", status=503))) as server:
        run(links, folder, server)
        assert set(drops_of(folder)) == set(moved)
        server.pages |= moved
        run(links, folder, server, retry_failed=True)
    assert drops_of(folder) == {}
    assert {page.url: page.final_url for page in pages_of(folder) if page.url in moved} == {
        url: dict(reply.headers)["Location"] for url, reply in moved.items()
    }
    assert_whole(folder, [*pages, *moved])


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
    assert len(again) == len(many) - 60
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

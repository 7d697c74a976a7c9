"""--retry-failed of the stage `pages`: failures that may pass are asked again, and nothing else."""

import logging
import multiprocessing
import shutil
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from servers.crawler import retry_failed
from servers.failing_web import GOOD, LINKED, PASSING, asked, assert_whole, files_of, is_link, run, settings, web
from servers.replay import NOT_FOUND, ReplayServer, Reply
from servers.stage_runs import drops_of, link, links_folder, pages_of

from pipeline.cli import main as commands
from pipeline.cli.plan import plan_lines
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages.outcomes import MAY_PASS
from pipeline.pages.share import bucket_of
from pipeline.pages.stage import STAGE
from pipeline.records import Link
from pipeline.storage.manifest import StageManifest
from pipeline.storage.verification import check
from tokenizer.errors import OutageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pages"


@pytest.fixture
def links(tmp_path: Path) -> str:
    return links_folder(tmp_path / "links", [link(url, "abc") for url in LINKED])


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
    assert finished.endswith("; 12 of the drops may pass, --retry-failed asks them again")
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


def test_retry_keeps_the_pages_of_an_earlier_round_of_redirects(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So few links are moved, in both runs, that one part continues them: its WARC files have names of their own in each run."""
    hosts = {bucket_of(url, 2): url for url in (f"http://h{number}.example/" for number in range(9))}
    to, end = hosts[0], hosts[1]
    first, second = f"{to}first", f"{to}second"
    links = links_folder(tmp_path / "links", [link(first), link(second)], [link(end)])
    monkeypatch.setattr("pipeline.pages.stage.LINKS_PER_PART", 2)
    moved = {url: Reply(status=301, headers=(("Location", f"{end}{url[-1]}"),)) for url in (first, second)}
    with ReplayServer({end: b"<p>Home", f"{end}t": b"<p>First", **moved, f"{end}d": Reply(b"busy", status=503)}) as server:
        run(links, folder, server)
        assert set(drops_of(folder)) == {second}
        server.pages[f"{end}d"] = b"<p>Second"
        run(links, folder, server, retry_failed=True)
    assert drops_of(folder) == {}
    assert_whole(folder, [first, second, end])


def test_a_link_whose_credential_was_removed_keeps_its_failure_until_links_are_made_again(tmp_path: Path, folder: Path) -> None:
    secret, links = "http://shop.example.com/?token=4hJ8kLm2Qw9z", str(tmp_path / "links")
    (tmp_path / "urls.txt").write_text(f"{secret}\nhttp://good.example.org/\n")
    make_links = ["links", "--urls", str(tmp_path / "urls.txt"), "--output", links, "--workers", "1"]
    assert commands.run(make_links) == 0
    with ReplayServer({secret: Reply(b"busy", status=503), "http://good.example.org/": b"<p>Good"}) as server:
        run(links, folder, server)
        server.pages[secret] = b"<p>Back"
        before = server.hits.copy()
        run(links, folder, server, retry_failed=True)
        assert asked(server, before) == set()
        assert list(drops_of(folder).values()) == ["http_503"]
        shutil.rmtree(links)
        assert commands.run(make_links) == 0
        run(links, folder, server, retry_failed=True)
    assert drops_of(folder) == {}
    assert len(pages_of(folder)) == 2

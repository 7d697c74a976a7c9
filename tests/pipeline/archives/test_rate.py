"""The rate of requests to an archive, as the archive sees it, however many workers ask."""

import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers.crawl_archive import MadeCrawl, Request, Shot, range_server, write_columnar
from servers.stage_runs import link, links_folder, pages_of, run

from pipeline.archives import rounds
from pipeline.archives.rate import RateLimit
from pipeline.archives.service import Access
from pipeline.engine.runner import Engine

RATE = 5.0
AT = datetime(2015, 9, 1, tzinfo=UTC)


def ask(folder: str, url: str, requests: int) -> None:
    access = Access("webtext/test", folder, RATE, ("127.0.0.0/8",))
    with access.service() as service:
        for _ in range(requests):
            assert service.read_range(url, 0, 5) == b"bytes"


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_together_keep_to_the_rate(tmp_path: Path, workers: int) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    context = multiprocessing.get_context("spawn")
    total = 16
    with range_server(tmp_path) as server:
        given = (str(tmp_path / "rate"), f"{server.url}file", total // workers)
        processes = [context.Process(target=ask, args=given) for _ in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * workers
    assert len(server.requests) == total
    assert server.most_in_a_second() <= RATE


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_stage_is_never_told_that_it_asks_too_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """Worker processes together, reading an index and records from one server that refuses the sixth request of any second."""
    monkeypatch.setattr(rounds, "LINKS_PER_FETCH", 2)
    pages = [f"http://a.example/{n}" for n in range(12)]
    made = MadeCrawl("CC-MAIN-2015-35", [Shot(url, AT) for url in pages], per_file=1).write(tmp_path / "served")
    write_columnar(tmp_path / "served", [made])
    names = [path.relative_to(tmp_path / "served") for path in sorted((tmp_path / "served").rglob("*.parquet"))]
    links = links_folder(tmp_path / "links", [link(url, at=AT) for url in pages])
    refused = []

    def strict(request: Request) -> tuple[int, dict[str, str], bytes] | None:
        within = sum(request.at - 1 < other.at <= request.at for other in server.requests)
        if within <= RATE:
            return None
        refused.append(request)
        return 429, {}, b"slow down"

    with range_server(tmp_path / "served", strict) as server:
        settings = {"commoncrawl": server.url, "archive_index": tuple(f"{server.url}{name}" for name in names)}
        settings |= {"commoncrawl_rate": RATE, "source": ("commoncrawl",), "allow_addresses": ("127.0.0.0/8",)}
        run(links, tmp_path / "pages", Engine(workers=workers), **settings)
    assert len(pages_of(tmp_path / "pages")) == len(pages)
    assert len(server.requests) > len(pages)
    assert not refused
    assert server.most_in_a_second() <= RATE


def hold(folder: str) -> None:
    with RateLimit(folder, 1.0).request():
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_leaves_its_turn_to_the_next(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(str(tmp_path),))
    process.start()
    process.join(60)
    killed_at = time.monotonic()
    with RateLimit(str(tmp_path), 1.0).request():
        assert 0.5 < time.monotonic() - killed_at < 5.0


def test_one_request_at_a_time_below_one_a_second(tmp_path: Path) -> None:
    limit = RateLimit(str(tmp_path), 0.9)
    assert limit.slots == 1
    with limit.request():
        first = time.monotonic()
    with limit.request():
        assert time.monotonic() - first >= 1 / 0.9


def test_a_pause_holds_for_every_limit_of_the_folder(tmp_path: Path) -> None:
    RateLimit(str(tmp_path), 100).pause(0.3)
    started = time.monotonic()
    with RateLimit(str(tmp_path), 100).request():
        assert time.monotonic() - started >= 0.29


def test_a_clock_that_began_anew_holds_nobody_for_long(tmp_path: Path) -> None:
    limit = RateLimit(str(tmp_path), 100)
    with limit.request():
        pass
    for path in tmp_path.glob("slot-*"):
        path.write_bytes(b"\x00\x00\x00\x00\x00\x00\xf0\x7f\x00")  # an infinite time
    (tmp_path / "pause").write_bytes(b"\x00\x00\x00\x00\x00\x00\xf0\x7f")
    started = time.monotonic()
    with limit.request():
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_rate_is_more_than_none(tmp_path: Path, rate: float) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        RateLimit(str(tmp_path), rate)

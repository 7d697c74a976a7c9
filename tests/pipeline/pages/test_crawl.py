import threading
import time
from collections import Counter

import psutil
import pytest
from servers.hostile import BOMBS, CASES, PAGE, SLOW, WHOLE, HostileServer
from servers.outcomes import LOOPBACK, crawl
from servers.witness import WitnessServer

from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.http_response import RequestError


def open_descriptors() -> int:
    return psutil.Process().num_fds()


@pytest.mark.parametrize("robots", [True, False], ids=["connection_kept", "connection_fresh"])
def test_every_broken_answer_is_one_page_or_one_named_failure(robots: bool) -> None:
    cases = {name: case for name, case in CASES.items() if name not in BOMBS}
    assert len(cases) >= 100
    with HostileServer() as server:
        urls = {server.url(name): case.expected for name, case in cases.items()}
        crawled = crawl(server, list(urls), 32, RequestLimits(4.0, 2_000_000), robots=robots)
    assert {url: crawled.word(url) for url in urls} == urls
    assert set(crawled.bodies) == {WHOLE}


def test_slow_servers_do_not_hold_up_good_ones() -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    with HostileServer() as server:
        names = [name for name in SLOW for _ in range(40)]
        slow = [server.url(name, number=number) for number, name in enumerate(names, 1)]
        good = [server.url("good", number=number) for number in range(1, 201)]
        started = time.monotonic()
        crawled = crawl(server, slow + good, 64, RequestLimits(3.0), robots=False)
        seconds = time.monotonic() - started
    assert Counter(crawled.word(url) for url in good) == {PAGE: 200}
    assert Counter(crawled.word(url) for url in slow) == {"timeout": 200}
    assert set(crawled.bodies) == {WHOLE}
    assert seconds <= 15
    deadline = time.monotonic() + 5
    while (threading.active_count() > threads or open_descriptors() > descriptors) and time.monotonic() < deadline:
        time.sleep(0.05)  # the server's own threads and sockets end by themselves
    assert threading.active_count() <= threads
    assert open_descriptors() <= descriptors


class Peak:
    """How far this process's memory grows while the block runs."""

    def __enter__(self) -> "Peak":
        self._process = psutil.Process()
        self._done = threading.Event()
        self.before = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self.peak - self.before

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, self._process.memory_info().rss)


def test_bombs_are_refused_at_little_cost() -> None:
    assert len(BOMBS) == 12
    with (
        HostileServer() as server,
        Client("webtext/test", LOOPBACK, RequestLimits(20.0), lookup=server.lookup) as client,
        Peak() as memory,
    ):
        for name, case in BOMBS.items():
            started = time.thread_time()
            with pytest.raises(RequestError) as refused:
                client.get(server.url(name))
            assert (name, refused.value.failure) == (name, case.expected)
            assert time.thread_time() - started < 1.0
    assert memory.growth < 64 << 20


@pytest.mark.slow
def test_no_host_is_hurried_and_none_is_late() -> None:
    delay = 0.4
    with WitnessServer(service_seconds=0.01) as server:
        urls = [server.url(f"h{host}", f"/{number}") for number in range(20) for host in range(50)]
        started = time.monotonic()
        crawled = crawl(server, urls, 64, RequestLimits(10.0), delay_seconds=delay)
        seconds = time.monotonic() - started
    assert len(crawled.bodies) == 1000
    assert set(server.most_at_once.values()) == {1}
    gaps = server.gaps()
    assert {len(of_host) for of_host in gaps.values()} == {20}  # robots.txt and twenty pages
    assert min(min(of_host) for of_host in gaps.values()) >= delay - 0.01
    ideal = 20 * delay + 21 * server.service_seconds
    assert seconds <= 1.2 * ideal


def test_a_giant_host_is_not_late_and_holds_up_nobody() -> None:
    delay = 0.1
    with WitnessServer(service_seconds=0.005) as server:
        giant = [server.url("giant", f"/{number}") for number in range(40)]
        small = [server.url(f"s{host}", f"/{number}") for host in range(60) for number in range(4)]
        started = time.monotonic()
        crawl(server, small + giant, 8, RequestLimits(10.0), delay_seconds=delay)
        seconds = time.monotonic() - started
        others = max(request.end for request in server.requests if not request.host.startswith("giant")) - started
    ideal = 40 * delay + 41 * server.service_seconds
    assert seconds <= 1.2 * ideal
    assert others <= 0.5 * ideal


def test_robots_rules_are_asked_once_a_host_and_heeded() -> None:
    robots = (
        b"\xef\xbb\xbfUser-agent: other\nDisallow: /\n\nUser-agent: webtext\nDisallow: /no\nAllow: /no/but\nCrawl-delay: 0.2\n"
    )
    with WitnessServer(robots=robots) as server:
        urls = [server.url("a", path) for path in ("/yes", "/no", "/no/but", "/none", "/yes/2")]
        crawled = crawl(server, urls, 4, RequestLimits(10.0))
    words = [crawled.word(url) for url in urls]
    assert words == [PAGE, "robots", PAGE, "robots", PAGE]
    assert server.asked() == {f"a.test{path}": 1 for path in ("/robots.txt", "/yes", "/no/but", "/yes/2")}
    assert min(server.gaps()["a.test"]) >= 0.19

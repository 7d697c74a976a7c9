import threading
import time
import zlib
from collections import Counter
from types import SimpleNamespace

import psutil
import pytest
from servers.hostile import BOMBS, CASES, PAGE, SLOW, WHOLE, HostileServer
from servers.outcomes import LOOPBACK, crawl
from servers.witness import WitnessServer

from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError
from pipeline.pages.outcomes import FetchOutcome


def open_descriptors() -> int:
    return psutil.Process().num_fds()


@pytest.mark.parametrize("robots", [True, False], ids=["connection_kept", "connection_fresh"])
def test_every_broken_response_gives_a_page_or_a_named_failure(robots: bool) -> None:
    cases = {name: case for name, case in CASES.items() if name not in BOMBS}
    assert len(cases) >= 100
    with HostileServer() as server:
        urls = {server.url(name): case.expected for name, case in cases.items()}
        record = crawl(server, list(urls), 32, RequestLimits(4.0, 2_000_000), robots=robots)
    assert {url: record.word(url) for url in urls} == urls
    assert set(record.bodies) == {WHOLE}


def test_slow_servers_do_not_hold_up_good_ones() -> None:
    threads, descriptors = threading.active_count(), open_descriptors()
    with HostileServer() as server:
        names = [name for name in SLOW for _ in range(40)]
        slow = [server.url(name, number=number) for number, name in enumerate(names, 1)]
        good = [server.url("good", number=number) for number in range(1, 201)]
        record = crawl(server, slow + good, 64, RequestLimits(3.0), robots=False)
    assert Counter(record.word(url) for url in good) == {PAGE: 200}
    assert Counter(record.word(url) for url in slow) == {"timeout": 200}
    assert set(record.bodies) == {WHOLE}
    deadline = time.monotonic() + 5
    while (threading.active_count() > threads or open_descriptors() > descriptors) and time.monotonic() < deadline:
        time.sleep(0.05)  # the server's own threads and sockets end by themselves
    assert threading.active_count() <= threads
    assert open_descriptors() <= descriptors


def test_good_servers_are_finished_while_slow_ones_are_silent() -> None:
    """Forty servers are silent until every good page is there: whoever waited for one of them would wait for ever."""
    with HostileServer() as server:
        slow = [server.url("silence", number=number) for number in range(1, 41)]
        good = [server.url("good", number=number) for number in range(1, 101)]
        missing = set(good)

        def end_silence(outcome: FetchOutcome) -> None:
            missing.discard(outcome.url)
            if not missing:
                server.stopping.set()

        record = crawl(server, slow + good, 64, RequestLimits(120.0), end_silence, robots=False)
    assert {record.word(url) for url in good} == {PAGE}
    assert set(list(record.outcomes)[: len(good)]) == set(good)


class Peak:
    """How far the process's memory grows inside the `with` block."""

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


class CountedDecoder:
    """A zlib decoder that adds the size of its output to `sizes`."""

    def __init__(self, sizes: list[int], window: int) -> None:
        self._engine = zlib.decompressobj(window)
        self._sizes = sizes

    def decompress(self, data: bytes, limit: int) -> bytes:
        out = self._engine.decompress(data, limit)
        self._sizes.append(len(out))
        return out

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


def test_bombs_are_refused_after_decoding_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BOMBS) == 12
    limits = RequestLimits(60.0)
    sizes: list[int] = []
    decoders = SimpleNamespace(**vars(zlib) | {"decompressobj": lambda window: CountedDecoder(sizes, window)})
    monkeypatch.setattr("pipeline.pages.decoding.zlib", decoders)
    with HostileServer() as server, Client("webtext/test", LOOPBACK, limits, lookup=server.lookup) as client, Peak() as memory:
        for name, case in BOMBS.items():
            sizes.clear()
            with pytest.raises(RequestError) as refused:
                client.get(server.url(name))
            assert (name, refused.value.failure) == (name, case.expected)
            assert sum(sizes) <= 1.1 * limits.max_body_bytes  # a coded layer of a nested bomb is small
    assert memory.growth < 64 << 20


@pytest.mark.slow
def test_pause_between_two_requests_to_a_host_is_kept() -> None:
    delay = 0.4
    with WitnessServer(service_seconds=0.01) as server:
        urls = [server.url(f"h{host}", f"/{number}") for number in range(20) for host in range(50)]
        record = crawl(server, urls, 64, RequestLimits(10.0), delay_seconds=delay)
    assert len(record.bodies) == 1000
    assert set(server.most_at_once.values()) == {1}
    gaps = server.gaps()
    assert {len(of_host) for of_host in gaps.values()} == {20}  # robots.txt and twenty pages
    assert min(min(of_host) for of_host in gaps.values()) >= delay - 0.01


def test_robots_txt_is_requested_once_per_host_and_obeyed() -> None:
    robots = (
        b"\xef\xbb\xbfUser-agent: other\nDisallow: /\n\nUser-agent: webtext\nDisallow: /no\nAllow: /no/but\nCrawl-delay: 0.2\n"
    )
    with WitnessServer(robots=robots) as server:
        urls = [server.url("a", path) for path in ("/yes", "/no", "/no/but", "/none", "/yes/2")]
        record = crawl(server, urls, 4, RequestLimits(10.0))
    words = [record.word(url) for url in urls]
    assert words == [PAGE, "robots", PAGE, "robots", PAGE]
    assert server.asked() == {f"a.test{path}": 1 for path in ("/robots.txt", "/yes", "/no/but", "/yes/2")}
    assert min(server.gaps()["a.test"]) >= 0.19

"""How many requests a crawl has open at once: to one domain, to one address, and to hosts that stall."""

import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from servers.hostile import PAGE, HostileServer
from servers.outcomes import crawl
from servers.witness import WitnessServer

from pipeline.pages import crew as crew_module
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.crew import Crew
from pipeline.pages.frontier import Frontier
from pipeline.pages.outcomes import FetchedPage, FetchOutcome
from pipeline.pages.politeness import Politeness

LOOPBACK = AddressPolicy.of(["127.0.0.0/8"])
THREADS = 32
SERVICE_SECONDS = 0.01


class Meter(WitnessServer):
    """A witness that also counts the requests that are open in all."""

    def __init__(self) -> None:
        super().__init__(SERVICE_SECONDS)
        self.peak = 0

    def begin(self, host: str) -> float:
        began = super().begin(host)
        with self._lock:
            self.peak = max(self.peak, sum(self._open.values()))
        return began


HOSTS: dict[str, Callable[[int], str]] = {
    "subdomains": lambda n: f"h{n}.example.com",
    "deep_subdomains": lambda n: f"a{n}.b{n % 7}.c{n % 5}.example.co.uk",
    "subdomains_with_final_dots": lambda n: f"h{n}.example.com.",
    "subdomains_in_capitals": lambda n: f"H{n}.Example.COM",
    "international_subdomains": lambda n: f"xn--bcher-kva{n}.example.org",
    "domains": lambda n: f"www.example{n}.com",
    "domains_under_many_suffixes": lambda n: f"example{n}.{('com', 'org', 'co.uk', 'de', 'com.br')[n % 5]}",
    "blogs_of_a_private_suffix": lambda n: f"blog{n}.blogspot.com",
    "names_without_a_suffix": lambda n: f"machine{n}",
    "subdomains_of_three_domains": lambda n: f"h{n}.example{n % 3}.net",
}


@pytest.mark.parametrize("hosts", list(HOSTS))
@pytest.mark.parametrize("robots", [True, False], ids=["robots", "pages_alone"])
def test_ninety_six_hosts_of_one_address_get_eight_requests_at_once(hosts: str, robots: bool) -> None:
    pages: list[FetchOutcome] = []
    with Meter() as server, Client("webtext/test", LOOPBACK, RequestLimits(20.0), lookup=server.lookup) as client:
        urls = [f"http://{HOSTS[hosts](n)}:{server.port}/{page}" for n in range(96) for page in range(2)]
        polite = Politeness(delay_seconds=0.0, retries=0, robots=robots)
        Crawl(client, polite, pages.append).run(first_requests(urls), THREADS)
    assert [type(page) for page in pages] == [FetchedPage] * len(urls)
    assert 2 <= server.peak <= 8


@pytest.mark.parametrize(
    ("domains", "addresses", "most"), [(1, 64, 1), (3, 64, 3), (64, 1, 1), (64, 5, 5), (2, 3, 2), (64, 64, 32)]
)
def test_both_limits_hold(domains: int, addresses: int, most: int) -> None:
    pages: list[FetchOutcome] = []
    with Meter() as server, Client("webtext/test", LOOPBACK, RequestLimits(20.0), lookup=server.lookup) as client:
        urls = [f"http://h{n}.example.com:{server.port}/" for n in range(40)]
        polite = Politeness(0.0, robots=False, retries=0, domain_requests=domains, address_requests=addresses)
        Crawl(client, polite, pages.append).run(first_requests(urls), THREADS)
    assert len(pages) == len(urls)
    assert server.peak <= most


def test_the_limit_holds_for_each_of_several_addresses() -> None:
    """Names of three machines: each machine gets at most two requests at once, and none waits for another's turn."""
    open_now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()
    with WitnessServer(SERVICE_SECONDS) as server:
        home = {f"www.s{n}.test": f"10.0.0.{n % 3}" for n in range(60)}

        def lookup(host: str, port: int, **options: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (home[host], port))]

        class Redirecting(Client):
            """Connections to the three addresses end at the witness."""

            def get(self, url: str, first_bytes: int | None = None, cookie: str = "", admits: Any = None) -> Any:
                address = home[url.split("/")[2].split(":")[0]]
                if not admits(address):
                    from pipeline.pages.failures import AddressBusyError

                    raise AddressBusyError
                with lock:
                    open_now[address] += 1
                    most[address] = max(most[address], open_now[address])
                try:
                    return super().get(url, first_bytes, cookie)
                finally:
                    with lock:
                        open_now[address] -= 1

        pages: list[FetchOutcome] = []
        with Redirecting("webtext/test", LOOPBACK, RequestLimits(20.0), lookup=server.lookup) as client:
            polite = Politeness(delay_seconds=0.0, retries=0, robots=False, address_requests=2)
            Crawl(client, polite, pages.append).run(first_requests([f"http://{n}:{server.port}/" for n in home]), THREADS)
    assert len(pages) == 60
    assert set(most) == {f"10.0.0.{n}" for n in range(3)}
    assert max(most.values()) <= 2


def test_host_of_a_full_address_waits_and_comes_in_its_turn() -> None:
    frontier: Frontier[int, str] = Frontier(0.0, address_requests=1)
    for name in ("a.example", "b.example", "c.example"):
        frontier.add_page(name, 1)
    first, second, third = (host for _ in range(3) if (host := frontier.take()))
    assert frontier.enter_address(first, "192.0.2.1")
    assert not frontier.enter_address(second, "192.0.2.1")
    assert frontier.enter_address(third, "192.0.2.2")
    frontier.give_back(second, 0.0)
    first.pages.clear()
    frontier.give_back(first, 0.0)
    again = frontier.take()
    assert again is second
    assert frontier.enter_address(second, "192.0.2.1")  # it was counted when it was taken


def test_hosts_held_by_one_limit_do_not_block_another() -> None:
    """Hosts of a full address leave their domain's turn to hosts of other addresses."""
    frontier: Frontier[int, str] = Frontier(0.0, 2, 1)
    for number in range(8):
        frontier.add_page(f"h{number}.example.com", number)
    addresses: defaultdict[str, int] = defaultdict(int)
    seen = []
    while host := frontier.take():
        address = f"192.0.2.{int(host.name[1]) // 6}"
        if frontier.enter_address(host, address):
            seen.append(host.name)
            host.pages.clear()
            addresses[address] += 1
        frontier.give_back(host, 0.0)
    assert sorted(seen) == [f"h{number}.example.com" for number in range(8)]


@pytest.mark.parametrize("threads", [4, 8, 16])
def test_tarpits_do_not_hold_up_good_hosts(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty-four hosts, asked first, are silent until every good page is there: whoever waited for them would wait for ever."""
    monkeypatch.setattr(crew_module, "STALL_SECONDS", 0.1)
    with HostileServer() as server:
        slow = [server.url("silence", number=number) for number in range(1, 25)]
        good = [server.url("good", number=number) for number in range(1, 9)]
        missing = set(good)

        def end_silence(outcome: FetchOutcome) -> None:
            missing.discard(outcome.url)
            if not missing:
                server.stopping.set()

        record = crawl(server, slow + good, threads, RequestLimits(120.0), end_silence, robots=False)
    assert {record.word(url) for url in good} == {PAGE}
    assert set(list(record.outcomes)[: len(good)]) == set(good)


@pytest.mark.parametrize(("threads", "slow"), [(1, 1), (4, 1), (8, 2), (32, 8)])
def test_hosts_that_stalled_get_a_share_of_the_threads(threads: int, slow: int) -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    frontier.limit_slow(max(1, threads // 4))
    for number in range(24):
        frontier.add_page(f"tarpit{number}.example", number)
        frontier.add_page(f"tarpit{number}.example", number)
    for host in [frontier.take() for _ in range(24)]:
        assert host is not None
        host.slow = True
        frontier.give_back(host, 0.0)
    for number in range(8):
        frontier.add_page(f"good{number}.example", number)
    taken = [host.name for _ in range(slow + 8) if (host := frontier.take())]
    assert sum(name.startswith("tarpit") for name in taken) == slow
    assert sum(name.startswith("good") for name in taken) == 8


def test_a_crew_stands_in_for_threads_that_stall_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "STALL_SECONDS", 0.02)
    waiting, stalled = threading.Event(), threading.Semaphore(0)
    begun = iter(range(100))
    lock = threading.Lock()
    at_once: list[int] = []
    quick = Counter[str]()

    def work() -> None:
        while True:
            with lock:
                number = next(begun, None)
            if number is None:
                waiting.set()
                return
            with crew:
                if number < 5:  # five turns stall until all others are done
                    waiting.wait(60)
                    stalled.release()
                else:
                    with lock:
                        quick["open"] += 1
                        at_once.append(quick["open"])
                    with lock:
                        quick["open"] -= 1
            if crew.retire():
                return

    crew = Crew(work, 2)
    crew.run()
    assert all(stalled.acquire(blocking=False) for _ in range(5))
    assert len(at_once) == 95
    assert max(at_once) <= 2

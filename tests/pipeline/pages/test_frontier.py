import heapq
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from pipeline.pages import frontier as frontier_module
from pipeline.pages.frontier import Frontier, Host, domain_key, host_key


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://a.example/x", "a.example"),
        ("https://a.example?x", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("http://127.0.0.1:8001/x#f", "127.0.0.1:8001"),
        ("https://[2606:4700::1111]:443/", "[2606:4700::1111]"),
    ],
)
def test_host_is_the_same_for_both_schemes(url: str, key: str) -> None:
    assert host_key(url) == key


def test_longest_queue_comes_first_and_each_host_once() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    for name, pages in (("short", 1), ("long", 3), ("middle", 2)):
        for page in range(pages):
            frontier.add_page(name, page)
    hosts = [frontier.take() for _ in range(3)]
    assert [host.name for host in hosts if host] == ["long", "middle", "short"]


def test_host_waits_for_its_turn() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    frontier.add_page("a", 1)
    frontier.add_page("a", 2)
    host = frontier.take()
    assert host is not None
    assert host.pages.popleft() == 1
    ready_at = time.monotonic() + 0.2
    frontier.give_back(host, ready_at)
    again = frontier.take()
    assert again is host
    assert time.monotonic() >= ready_at
    host.pages.clear()
    frontier.give_back(host, 0.0)
    assert frontier.take() is None


def test_parked_host_makes_robots_requests_only() -> None:
    frontier: Frontier[str, str] = Frontier(0.0)
    frontier.add_page("a", "page")
    host = frontier.take()
    assert host is not None
    host.parked = True
    frontier.give_back(host, 0.0)
    frontier.add_robots("a", "robots")
    again = frontier.take()
    assert again is host
    assert again.robots.popleft() == "robots"
    frontier.unpark("a")
    frontier.give_back(again, 0.0)
    third = frontier.take()
    assert third is host
    assert list(third.pages) == ["page"]


def test_take_waits_for_hosts_that_other_threads_may_add() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    frontier.add_page("a", 1)
    host = frontier.take()
    assert host is not None
    names: list[str] = []

    def wait() -> None:
        other = frontier.take()
        names.append(other.name if other else "none")

    waiter = threading.Thread(target=wait)
    waiter.start()
    frontier.add_page("b", 2)
    waiter.join(5)
    assert names == ["b"]


def test_stop_ends_the_wait() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    frontier.add_page("a", 1)
    assert frontier.take() is not None
    ended: list[object] = []
    waiter = threading.Thread(target=lambda: ended.append(frontier.take()))
    waiter.start()
    frontier.stop()
    waiter.join(5)
    assert ended == [None]


class CountingCondition(threading.Condition):
    """Counts the threads that it wakes."""

    woken = 0

    def notify(self, n: int = 1) -> None:
        self.woken += min(n, len(self._waiters))  # type: ignore[attr-defined]
        super().notify(n)


def in_threads(frontier: Frontier[int, str], threads: int, delay: float = 0.0) -> list[tuple[str, int]]:
    """Take every page in `threads` threads, as the crawl does. Returns the pages in their order."""
    taken: list[tuple[str, int]] = []

    def work() -> None:
        host = frontier.take()
        while host is not None:
            taken.append((host.name, host.pages.popleft()))
            host = frontier.exchange(host, time.monotonic() + delay)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    return taken


def test_a_host_that_its_own_thread_takes_again_wakes_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    changed = CountingCondition()
    monkeypatch.setattr(frontier, "_changed", changed)
    for page in range(2000):
        frontier.add_page("one", page)
    assert in_threads(frontier, 8) == [("one", page) for page in range(2000)]
    assert changed.woken <= 2 * 8  # at the end, all


def test_no_thread_is_woken_for_a_host_that_its_domain_holds_back(monkeypatch: pytest.MonkeyPatch) -> None:
    frontier: Frontier[int, str] = Frontier(0.0, domain_requests=1)
    changed = CountingCondition()
    monkeypatch.setattr(frontier, "_changed", changed)
    for page in range(1000):
        frontier.add_page(f"h{page % 50}.example.com", page)
    assert len(in_threads(frontier, 8)) == 1000
    assert changed.woken <= 2 * 8


@pytest.mark.parametrize("seed", range(8))
def test_no_thread_sleeps_while_there_is_a_host_to_take(seed: int) -> None:
    random = Random(seed)
    frontier: Frontier[int, str] = Frontier(0.0, domain_requests=random.choice([1, 2, 99]))
    expected = {
        (f"h{host}.site{host % 5}.example", page)
        for host in range(random.randint(1, 20))
        for page in range(random.randint(1, 30))
    }
    for name, page in sorted(expected):
        frontier.add_page(name, page)
    taken = in_threads(frontier, random.randint(1, 12), delay=random.choice([0.0, 0.0001, 0.003]))
    assert len(taken) == len(expected)
    assert set(taken) == expected


def test_all_threads_work_at_once_where_there_are_hosts_for_them() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    for host in range(6):
        for page in range(3):
            frontier.add_page(f"host{host}.example", page)
    together = threading.Barrier(6, timeout=30)

    def work() -> None:
        host = frontier.take()
        while host is not None:
            host.pages.popleft()
            together.wait()  # breaks, unless all six threads hold a host
            host = frontier.exchange(host, 0.0)

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit(work) for _ in range(6)]:
            future.result(60)


def test_of_the_waiting_threads_one_wakes_for_each_turn() -> None:
    frontier: Frontier[int, str] = Frontier(0.0)
    for name in "abc":
        frontier.add_page(name, 1)
    hosts = [frontier.take() for _ in range(3)]
    for number, host in enumerate(hosts, start=1):
        assert host is not None
        frontier.give_back(host, time.monotonic() + number / 20)
    together = threading.Barrier(3, timeout=10)

    def work() -> str:
        host = frontier.take()
        assert host is not None
        try:
            together.wait()  # breaks, unless the other hosts are taken while this one is held
        finally:
            frontier.stop()
        return host.name

    with ThreadPoolExecutor(3) as pool:
        assert {future.result(60) for future in [pool.submit(work) for _ in range(3)]} == {"a", "b", "c"}


class Simulation:
    """Workers on a frontier in simulated time: `clock` moves on when `take` would wait. `ends` holds each host's last time."""

    def __init__(self, queues: dict[str, int], workers: int, delay: float, service: float, patch: pytest.MonkeyPatch) -> None:
        self.clock = 0.0
        self.ends: dict[str, float] = {}
        self._workers, self._delay, self._service = workers, delay, service
        self._open: list[tuple[float, str, Host[int, str]]] = []
        self._frontier: Frontier[int, str] = Frontier(delay)
        patch.setattr(frontier_module.time, "monotonic", lambda: self.clock)
        patch.setattr(self._frontier, "_changed", self)
        for name, pages in queues.items():
            for page in range(pages):
                self._frontier.add_page(name, page)

    def run(self) -> None:
        while True:
            while len(self._open) == self._workers:
                self._finish()
            host = self._frontier.take()
            if host is None:
                return
            host.pages.popleft()
            heapq.heappush(self._open, (self.clock + self._service, host.name, host))

    def wait(self, seconds: float | None) -> None:
        """As the condition's: until a request ends, or a host's turn comes."""
        if self._open and (seconds is None or self._open[0][0] <= self.clock + seconds):
            self._finish()
        else:
            assert seconds is not None
            self.clock += seconds

    def notify(self) -> None:
        """No thread waits."""

    notify_all = notify

    def __enter__(self) -> None:
        """No thread has to be kept out."""

    def __exit__(self, *_: object) -> None:
        pass

    def _finish(self) -> None:
        self.clock, name, host = heapq.heappop(self._open)
        self.ends[name] = self.clock
        self._frontier.give_back(host, self.clock + self._delay)


def test_hosts_with_equal_queues_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    delay, service = 0.4, 0.01
    simulation = Simulation({f"h{host}": 21 for host in range(50)}, 64, delay, service, monkeypatch)
    simulation.run()
    assert simulation.ends == pytest.approx({f"h{host}": 20 * delay + 21 * service for host in range(50)})


def test_giant_host_ends_in_time_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    delay, service = 0.1, 0.005
    queues = {f"s{host}": 5 for host in range(60)} | {"giant": 41}
    simulation = Simulation(queues, 8, delay, service, monkeypatch)
    simulation.run()
    shortest = 40 * delay + 41 * service
    giant = simulation.ends.pop("giant")
    assert giant <= 1.05 * shortest
    assert max(simulation.ends.values()) <= 0.5 * shortest


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_hosts_of_one_domain_share_a_limit(limit: int) -> None:
    frontier: Frontier[int, str] = Frontier(0.0, limit)
    for number in range(20):
        frontier.add_page(f"h{number}.example.com", number)
        frontier.add_page(f"www.other{number}.org", number)
    taken = [host for _ in range(20 + limit) if (host := frontier.take())]
    domains = Counter(domain_key(host.name) for host in taken)
    assert domains["example.com"] == limit
    assert len(domains) == 21
    left = {f"h{number}.example.com" for number in range(20)} - {host.name for host in taken}
    held = [host for host in taken if host.name.endswith("example.com")]
    while left:
        host = held.pop(0)
        host.pages.clear()
        frontier.give_back(host, 0.0)
        following = frontier.take()
        assert following is not None
        left.remove(following.name)
        held.append(following)


def test_all_hosts_of_one_domain_are_taken_by_many_threads() -> None:
    frontier: Frontier[int, str] = Frontier(0.0, 3)
    for number in range(100):
        frontier.add_page(f"h{number}.example.com", number)
    seen: list[str] = []

    def work() -> None:
        while (host := frontier.take()) is not None:
            seen.append(host.name)
            host.pages.clear()
            frontier.give_back(host, 0.0)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(seen) == sorted(f"h{number}.example.com" for number in range(100))

import threading
import time

import pytest

from pipeline.pages.frontier import Frontier, host_key


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
def test_one_host_whatever_the_scheme(url: str, key: str) -> None:
    assert host_key(url) == key


def test_the_longest_queue_first_and_each_host_once() -> None:
    hosts: Frontier[int] = Frontier(0.0)
    for name, items in (("short", 1), ("long", 3), ("middle", 2)):
        for item in range(items):
            hosts.add(name, item)
    taken = [hosts.take() for _ in range(3)]
    assert [host.name for host in taken if host] == ["long", "middle", "short"]


def test_a_host_waits_for_its_turn() -> None:
    hosts: Frontier[int] = Frontier(0.0)
    hosts.add("a", 1)
    hosts.add("a", 2)
    host = hosts.take()
    assert host is not None
    assert host.queue.popleft() == 1
    ready_at = time.monotonic() + 0.2
    hosts.give_back(host, ready_at)
    again = hosts.take()
    assert again is host
    assert time.monotonic() >= ready_at
    host.queue.clear()
    hosts.give_back(host, 0.0)
    assert hosts.take() is None


def test_a_parked_host_runs_errands_only() -> None:
    hosts: Frontier[str] = Frontier(0.0)
    hosts.add("a", "page")
    host = hosts.take()
    assert host is not None
    host.parked = True
    hosts.give_back(host, 0.0)
    hosts.add("a", "rules", errand=True)
    again = hosts.take()
    assert again is host
    assert again.errands.popleft() == "rules"
    hosts.unpark("a")
    hosts.give_back(again, 0.0)
    third = hosts.take()
    assert third is host
    assert list(third.queue) == ["page"]


def test_takers_wait_for_work_that_others_may_make() -> None:
    hosts: Frontier[int] = Frontier(0.0)
    hosts.add("a", 1)
    host = hosts.take()
    assert host is not None
    found: list[str] = []

    def wait() -> None:
        other = hosts.take()
        found.append(other.name if other else "none")

    waiter = threading.Thread(target=wait)
    waiter.start()
    hosts.add("b", 2)
    waiter.join(5)
    assert found == ["b"]


def test_stop_ends_the_wait() -> None:
    hosts: Frontier[int] = Frontier(0.0)
    hosts.add("a", 1)
    assert hosts.take() is not None
    ended: list[object] = []
    waiter = threading.Thread(target=lambda: ended.append(hosts.take()))
    waiter.start()
    hosts.stop()
    waiter.join(5)
    assert ended == [None]

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError, RequestFailure
from pipeline.pages.resolver import Resolver
from pipeline.pages.transport import Dialer

LOOPBACK = AddressPolicy.of(["127.0.0.0/8"])


def answer(port: int, *addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


@contextmanager
def silence() -> Iterator[int]:
    """The port of listeners on 127.0.0.1 and 127.0.0.2 whose queues are full: no connection is ever made."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as first:
        port = first.getsockname()[1]
        with socket.create_server(("127.0.0.2", port), backlog=0) as second:
            waiting = [socket.socket() for _ in range(8)]
            for number, one in enumerate(waiting):
                one.setblocking(False)
                one.connect_ex(((first, second)[number % 2]).getsockname())
            yield port
            for one in waiting:
                one.close()


def test_request_does_not_wait_for_a_silent_name_server() -> None:
    released = threading.Event()
    answers: list[str] = []
    before = set(threading.enumerate())  # some may end meanwhile: those of an earlier test's pipeline

    def slow(host: str, port: int, **_: Any) -> list[Any]:
        released.wait(60)
        answers.append(host)
        return answer(port, "127.0.0.1")

    with Client("webtext/test", LOOPBACK, RequestLimits(0.4), lookup=slow) as client:
        with pytest.raises(RequestError) as late:
            client.get("http://slow.test/")
        assert not answers
    assert late.value.failure is RequestFailure.TIMEOUT
    released.set()
    ends = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < ends:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


def test_answers_are_cached_and_failures_are_not() -> None:
    asked: list[str] = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host == "lost.test":
            raise socket.gaierror("no such name")
        return answer(port, "127.0.0.1")

    resolver = Resolver(lookup)
    for _ in range(3):
        assert resolver("good.test", 80, 5) == answer(80, "127.0.0.1")
        with pytest.raises(socket.gaierror):
            resolver("lost.test", 80, 5)
    assert asked == ["good.test", "lost.test", "lost.test", "lost.test"]


@pytest.mark.parametrize(("last", "reached"), [("127.0.0.3", True), ("127.0.0.2", False)])
def test_silent_address_leaves_time_for_the_next(last: str, reached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float] = []

    class TimedSocket(socket.socket):
        def settimeout(self, value: float | None) -> None:
            timeouts.append(value or 0.0)
            super().settimeout(value)

    monkeypatch.setattr("pipeline.pages.transport.socket", SimpleNamespace(**vars(socket) | {"socket": TimedSocket}))
    dialer = Dialer(LOOPBACK, Resolver(lambda _host, port, **_options: answer(port, "127.0.0.1", last)))
    with silence() as port, socket.create_server(("127.0.0.3", port)):
        if reached:
            dialer.dial("two.test", port, 1.0).close()
        else:
            with pytest.raises(TimeoutError):
                dialer.dial("two.test", port, 1.0)
    first, second = timeouts
    assert 0.0 < first <= 0.5
    assert 0.0 < second <= 1.0 - first

"""Who may be asked next: a queue a host, one open request a host, a pause between two, the longest queue first.

Longest first keeps the last host from starting late: the crawl then takes little longer than its longest host alone must.
"""

import heapq
import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def host_key(url: str) -> str:
    """What politeness counts as one host: name and port, where http and https on their own ports are the same.

    >>> host_key("https://example.com/a"), host_key("http://127.0.0.1:8001/")
    ('example.com', '127.0.0.1:8001')
    """
    scheme, rest = url.split("://", 1)
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    return authority.removesuffix(DEFAULT_PORTS.get(scheme, ""))


@dataclass(slots=True, eq=False)
class Host(Generic[T]):
    """A host's turn-taking. Only the thread that took it touches it until it is given back."""

    name: str
    delay_seconds: float
    queue: deque[T] = field(default_factory=deque)
    errands: deque[T] = field(default_factory=deque)
    ready_at: float = 0.0
    failures: int = 0
    busy: bool = False
    parked: bool = False

    @property
    def runnable(self) -> bool:
        """Whether there is something to do: an errand, or an item while the host is not parked."""
        return bool(self.errands) or (bool(self.queue) and not self.parked)


class Hosts(Generic[T]):
    """All hosts of a part. `take` and `give_back` are the whole protocol; `add` may come from any thread."""

    def __init__(self, delay_seconds: float) -> None:
        self._delay_seconds = delay_seconds
        self._changed = threading.Condition()
        self._hosts: dict[str, Host[T]] = {}
        self._waiting: list[tuple[float, int, Host[T]]] = []
        self._ready: list[tuple[int, int, Host[T]]] = []
        self._listed: set[str] = set()
        self._order = itertools.count()
        self._busy = 0
        self._stopped = False

    def add(self, name: str, item: T, *, errand: bool = False) -> None:
        """Queue an item; an errand goes first, and even while the host is parked."""
        with self._changed:
            host = self._hosts.get(name)
            if host is None:
                host = self._hosts[name] = Host(name, self._delay_seconds)
            (host.errands if errand else host.queue).append(item)
            self._list(host)

    def unpark(self, name: str) -> None:
        """Let a parked host's queue go on."""
        with self._changed:
            host = self._hosts[name]
            host.parked = False
            self._list(host)

    def take(self) -> Host[T] | None:
        """The next host whose turn it is, ours until given back; waits for one. None when all is done, or after `stop`."""
        with self._changed:
            while not self._stopped:
                now = time.monotonic()
                while self._waiting and self._waiting[0][0] <= now:
                    host = heapq.heappop(self._waiting)[2]
                    heapq.heappush(self._ready, (-len(host.queue), next(self._order), host))
                if self._ready:
                    host = heapq.heappop(self._ready)[2]
                    self._listed.discard(host.name)
                    host.busy = True
                    self._busy += 1
                    return host
                if not self._waiting and not self._busy:
                    self._changed.notify_all()
                    return None
                self._changed.wait(self._waiting[0][0] - now if self._waiting else None)
            return None

    def give_back(self, host: Host[T], ready_at: float) -> None:
        """The host's next turn comes at `ready_at` (monotonic seconds)."""
        with self._changed:
            host.busy = False
            host.ready_at = ready_at
            self._busy -= 1
            self._list(host)
            if not self._busy:
                self._changed.notify_all()

    def stop(self) -> None:
        """Every waiting and coming `take` gives None."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _list(self, host: Host[T]) -> None:
        """Put a host that is free and has work where `take` finds it."""
        if host.busy or host.name in self._listed or not host.runnable:
            return
        self._listed.add(host.name)
        heapq.heappush(self._waiting, (host.ready_at, next(self._order), host))
        self._changed.notify()

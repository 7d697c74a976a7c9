"""The crawl's frontier: one queue per host, one open request per host, a pause between two, the longest queue first.

Hosts of one registrable domain share a limit of open requests, and so do hosts of one address: they are mostly one machine. Hosts
that stalled share a limit too: they would hold all threads.

Longest first keeps the last host from starting late: the crawl then takes little longer than its longest host alone.
"""

import heapq
import itertools
import math
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from pipeline.urls import domain_of, host_of

P = TypeVar("P")
R = TypeVar("R")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
LimitGroup = tuple[Literal["domain", "address", "slow"], str]
"""Hosts that share a limit: kind, and the domain or the address."""
SLOW: LimitGroup = ("slow", "")


def host_key(url: str) -> str:
    """The unit of politeness: host name and port, where http and https on their default ports are one.

    >>> host_key("https://example.com/a"), host_key("http://127.0.0.1:8001/")
    ('example.com', '127.0.0.1:8001')
    """
    scheme, rest = url.split("://", 1)
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    return authority.removesuffix(DEFAULT_PORTS.get(scheme, ""))


def domain_key(name: str) -> str:
    """The registrable domain of a host key, or its address.

    >>> domain_key("a.b.example.co.uk:8080"), domain_key("127.0.0.1:80")
    ('example.co.uk', '127.0.0.1')
    """
    return domain_of(host_of(f"http://{name}/"))


@dataclass(slots=True, eq=False)
class Host(Generic[P, R]):
    """A host's requests: P for pages, R for robots.txt. Only the thread that took the host touches it until it is given back.

    A parked host waits for a robots.txt: its pages wait, its robots requests do not. `address` is known after its first
    connection; a host is `slow` while its last request stalled.
    """

    name: str
    delay_seconds: float
    domain: str = ""
    address: str = ""
    slow: bool = False
    pages: deque[P] = field(default_factory=deque)
    robots: deque[R] = field(default_factory=deque)
    ready_at: float = 0.0
    failures: int = 0
    busy: bool = False
    parked: bool = False
    counted: tuple[LimitGroup, ...] = ()

    @property
    def runnable(self) -> bool:
        """Whether the host has a request to make now."""
        return bool(self.robots) or (bool(self.pages) and not self.parked)

    @property
    def site(self) -> str:
        """The unit of evidence on the network: the registrable domain, or the literal address with its port."""
        return self.name if self.domain[-1:].isdigit() or ":" in self.domain else self.domain

    @property
    def groups(self) -> tuple[LimitGroup, ...]:
        """The limits that the host's next request counts for."""
        groups: tuple[LimitGroup, ...] = (("domain", self.domain),)
        if self.address:
            groups += (("address", self.address),)
        return (*groups, SLOW) if self.slow else groups


class Frontier(Generic[P, R]):
    """All hosts of a part. Threads `take`, `exchange` and `give_back` hosts; requests may be added from any thread.

    At most `domain_requests` hosts of one domain and `address_requests` of one address are taken at the same time.
    """

    def __init__(
        self,
        delay_seconds: float,
        domain_requests: int = sys.maxsize,
        address_requests: int = sys.maxsize,
    ) -> None:
        self._delay_seconds = delay_seconds
        self._limits = {"domain": domain_requests, "address": address_requests, "slow": sys.maxsize}
        self._open: Counter[LimitGroup] = Counter()
        self._held: defaultdict[LimitGroup, deque[Host[P, R]]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._hosts: dict[str, Host[P, R]] = {}
        self._waiting: list[tuple[float, int, Host[P, R]]] = []
        self._ready: list[tuple[int, int, Host[P, R]]] = []
        self._scheduled: set[str] = set()
        self._order = itertools.count()
        self._busy = 0
        self._asleep = 0
        self._watched = math.inf
        self._stopped = False

    def limit_slow(self, hosts: int) -> None:
        """Let at most this many slow hosts be taken at the same time."""
        self._limits["slow"] = hosts

    def add_page(self, name: str, request: P) -> None:
        """Queue a request for a page of the host `name`."""
        with self._changed:
            host = self._host(name)
            host.pages.append(request)
            self._schedule(host)
            self._changed.notify()

    def add_robots(self, name: str, request: R) -> None:
        """Queue a robots request: it comes before the host's pages, and also while the host is parked."""
        with self._changed:
            host = self._host(name)
            host.robots.append(request)
            self._schedule(host)
            self._changed.notify()

    def unpark(self, name: str) -> None:
        """Release the pages of a parked host."""
        with self._changed:
            host = self._hosts[name]
            host.parked = False
            self._schedule(host)
            self._changed.notify()

    def take(self) -> Host[P, R] | None:
        """The next host whose turn it is, the caller's until given back.

        Waits for one; None when all is done, or after `stop`.
        """
        with self._changed:
            return self._next()

    def exchange(self, host: Host[P, R], ready_at: float) -> Host[P, R] | None:
        """Return a host, as `give_back` does, and take the next one.

        Wakes no other thread for a host that the caller takes itself: to wake one for each page costs a seventh of the stage's CPU time.
        """
        with self._changed:
            self._return(host, ready_at)
            return self._next()

    def enter_address(self, host: Host[P, R], address: str) -> bool:
        """Count the address that a taken host is about to connect to; False where it has no room: then give the host back."""
        group: LimitGroup = ("address", address)
        with self._changed:
            host.address = address
            if group in host.counted:
                return True
            if self._is_full(group):
                return False
            self._open[group] += 1
            host.counted += (group,)
            return True

    def give_back(self, host: Host[P, R], ready_at: float) -> None:
        """Return a host; its next turn comes at `ready_at` (monotonic seconds)."""
        with self._changed:
            self._return(host, ready_at)
            self._changed.notify()
            if not self._busy:
                self._changed.notify_all()

    def stop(self) -> None:
        """Make every present and later `take` return None."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self) -> Host[P, R] | None:
        """Take the next host. Another thread is woken for what else there is to take."""
        while not self._stopped:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                self._make_ready(heapq.heappop(self._waiting)[2])
            while self._ready:
                host = heapq.heappop(self._ready)[2]
                if not self._is_held(host):
                    self._count(host)
                    self._wake_another()
                    return host
            if not self._waiting and not self._busy:
                self._changed.notify_all()
                return None
            self._wait(now)
        return None

    def _next_turn(self) -> float:
        """When the turn of the first waiting host comes."""
        return self._waiting[0][0] if self._waiting else math.inf

    def _wait(self, now: float) -> None:
        """Wait for a change. One of the waiting threads also waits for the next turn."""
        turn = self._next_turn()
        watches = turn < self._watched
        self._watched = min(turn, self._watched)
        self._asleep += 1
        self._changed.wait(turn - now if watches else None)
        self._asleep -= 1
        if watches and self._watched == turn:
            self._watched = math.inf

    def _return(self, host: Host[P, R], ready_at: float) -> None:
        """Count a host as free, and schedule its next turn."""
        host.busy = False
        host.ready_at = ready_at
        self._busy -= 1
        for group in host.counted:
            self._open[group] -= 1
            if not self._open[group]:
                del self._open[group]
        for group in host.counted:
            self._release(group)
        host.counted = ()
        self._schedule(host)

    def _is_full(self, group: LimitGroup) -> bool:
        return self._open[group] >= self._limits[group[0]]

    def _is_held(self, host: Host[P, R]) -> bool:
        """Let a host wait for a group that is full, if any; a host that waits for its other groups may come in its place."""
        groups = host.groups
        full = next((group for group in groups if self._is_full(group)), None)
        if full is None:
            return False
        self._held[full].append(host)
        for group in groups:
            if group != full and not self._is_full(group):
                self._release(group)
        return True

    def _count(self, host: Host[P, R]) -> None:
        """Count a host as taken."""
        self._scheduled.discard(host.name)
        host.counted = host.groups
        for group in host.counted:
            self._open[group] += 1
        host.busy = True
        self._busy += 1

    def _wake_another(self) -> None:
        """Wake a waiting thread, if there is a host that it can take, or a turn that no thread waits for."""
        while self._ready and self._asleep:
            entry = heapq.heappop(self._ready)
            if not self._is_held(entry[2]):
                heapq.heappush(self._ready, entry)
                self._changed.notify()
                return
        if self._next_turn() < self._watched:
            self._changed.notify()

    def _release(self, group: LimitGroup) -> None:
        """Let one of the hosts that wait for a group be taken."""
        if group in self._held:
            host = self._held[group].popleft()
            if not self._held[group]:
                del self._held[group]
            self._make_ready(host)

    def _make_ready(self, host: Host[P, R]) -> None:
        heapq.heappush(self._ready, (-len(host.pages), next(self._order), host))

    def _host(self, name: str) -> Host[P, R]:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = Host(name, self._delay_seconds, domain_key(name))
        return host

    def _schedule(self, host: Host[P, R]) -> None:
        """Make a host that is free and runnable visible to `take`. The caller wakes a thread, if it does not take a host itself."""
        if host.busy or host.name in self._scheduled or not host.runnable:
            return
        self._scheduled.add(host.name)
        heapq.heappush(self._waiting, (host.ready_at, next(self._order), host))

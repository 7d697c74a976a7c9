"""Links to pages: every host asked politely, every URL with one outcome, whatever the web does to us."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.pages.answer import Answer, Failure, RequestError
from pipeline.pages.client import Client
from pipeline.pages.frontier import Host, Hosts, host_key
from pipeline.pages.latencies import Latencies
from pipeline.pages.outcomes import MOVED, Dropped, Moved, Outcome, Reason, page_of, redirect_target
from pipeline.pages.retry import back_off_seconds, retry_after_seconds
from pipeline.pages.robots import MAX_AGE_SECONDS, MAX_BYTES, Robots, robots_url
from pipeline.pages.warc import Way, exchange_members

MAX_REDIRECTS = 5
RETRIED = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
RETRIED_FAILURES = frozenset({Failure.TIMEOUT, Failure.CONNECTION, Failure.DNS, Failure.TRUNCATED, Failure.PROXY})
HOST_FAILURES = frozenset({Failure.TIMEOUT, Failure.CONNECTION, Failure.DNS, Failure.TLS})


@dataclass(frozen=True, slots=True)
class Manners:
    """How hosts are treated."""

    delay_seconds: float = 1.0
    robots: bool = True
    agent: str = "webtext"
    retries: int = 2
    back_off_seconds: float = 1.0
    max_wait_seconds: float = 60.0
    max_redirects: int = MAX_REDIRECTS
    host_failures: int = 5


@dataclass(slots=True, eq=False)
class Visit:
    """A URL on its way to an outcome. `asked` is what the link says, `url` where redirects have led."""

    asked: str
    url: str
    redirects: int = 0
    attempts: int = 0
    way: Way = Way()  # noqa: RUF009  # frozen
    rules_for: str | None = None
    """For an errand: the origin's robots.txt URL whose rules this request is after; `asked` is then the host that waits."""


def visits(urls: Iterable[str]) -> list[Visit]:
    """The first visit of each URL."""
    return [Visit(url, url) for url in urls]


@dataclass(slots=True)
class _Rules:
    robots: Robots | None = None
    failure: RequestError | None = None
    read_at: float = 0.0


@dataclass
class Crawl:
    """Fetches URLs with many threads; `record` is called once for each, from any of them.

    A redirect to a URL that the crawl does not own ends as `Moved`.
    """

    client: Client
    manners: Manners
    record: Callable[[Outcome], None]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    owns: Callable[[str], bool] = field(default=lambda _: True)
    latencies: Latencies = field(default_factory=Latencies)

    def __post_init__(self) -> None:
        self._hosts: Hosts[Visit] = Hosts(self.manners.delay_seconds)
        self._rules: dict[str, _Rules] = {}
        self._error: BaseException | None = None

    def run(self, visits: Sequence[Visit], threads: int) -> None:
        """Make them all. An error that is no outcome stops every thread and is raised."""
        for visit in visits:
            self._hosts.add(host_key(visit.url), visit)
        workers = [threading.Thread(target=self._work, name=f"fetch-{i}", daemon=True) for i in range(min(threads, len(visits)))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (host := self._hosts.take()) is not None:
                self._hosts.give_back(host, self._turn(host))
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits in `run`
            self._error = self._error or error
            self._hosts.stop()

    def _turn(self, host: Host[Visit]) -> float:
        """At most one request to the host; when its next turn may come."""
        while host.errands or (host.queue and not host.parked):
            if host.errands:
                return self._ask_rules(host, host.errands.popleft())
            visit = host.queue.popleft()
            if host.failures >= self.manners.host_failures:
                self.record(Dropped(visit.asked, Reason.HOST_SET_ASIDE, f"{host.name}: {host.failures} failures in a row"))
            elif self.manners.robots and not self._rules_known(visit.url):
                host.queue.appendleft(visit)
                host.parked = True
                address = robots_url(visit.url)
                self._rules.setdefault(address, _Rules())
                host.errands.append(Visit(host.name, address, rules_for=address))
            elif (refusal := self._refusal(host, visit)) is not None:
                self.record(refusal)
            else:
                return self._ask_page(host, visit)
        return host.ready_at

    def _rules_known(self, url: str) -> bool:
        rules = self._rules.get(robots_url(url))
        if rules is None or (rules.robots is None and rules.failure is None):
            return False
        return time.monotonic() - rules.read_at < MAX_AGE_SECONDS

    def _refusal(self, host: Host[Visit], visit: Visit) -> Dropped | None:
        """What robots.txt says against a visit."""
        if not self.manners.robots:
            return None
        rules = self._rules[robots_url(visit.url)]
        if rules.failure is not None:
            return Dropped(visit.asked, Reason(rules.failure.failure), f"robots.txt: {rules.failure.detail}")
        robots = rules.robots
        assert robots is not None
        host.delay_seconds = max(host.delay_seconds, robots.delay_seconds(self.manners.delay_seconds))
        if robots.allows(visit.url):
            return None
        return Dropped(visit.asked, Reason.ROBOTS if robots.has_rules else Reason.ROBOTS_UNREACHABLE, "")

    def _ask_rules(self, host: Host[Visit], errand: Visit) -> float:
        assert errand.rules_for is not None
        rules = self._rules[errand.rules_for]
        agent = self.manners.agent
        try:
            answer = self.client.get(errand.url, first_bytes=MAX_BYTES)
        except RequestError as error:
            if (wait := self._retry_wait(errand, error.failure in RETRIED_FAILURES, None)) is not None:
                host.errands.appendleft(errand)
                return time.monotonic() + max(wait, host.delay_seconds)
            rules.failure = error
        else:
            if answer.status in MOVED and (target := _target(answer)) is not None:
                if errand.redirects < MAX_REDIRECTS:
                    onward = Visit(errand.asked, target, errand.redirects + 1, rules_for=errand.rules_for)
                    self._queue(host, onward, errand=True)
                    return time.monotonic() + host.delay_seconds
                rules.robots = Robots.unavailable(agent)
            elif 200 <= answer.status < 300:
                rules.robots = Robots.parse(answer.body, agent)
            elif answer.status >= 500 or answer.status == 429:
                wait = self._retry_wait(errand, answer.status in RETRIED, answer)
                if wait is not None:
                    host.errands.appendleft(errand)
                    return time.monotonic() + max(wait, host.delay_seconds)
                rules.robots = Robots.unreachable(agent)
            else:
                rules.robots = Robots.unavailable(agent)
        rules.read_at = time.monotonic()
        if rules.robots is not None and errand.asked == host.name:
            host.delay_seconds = max(host.delay_seconds, rules.robots.delay_seconds(self.manners.delay_seconds))
        self._hosts.unpark(errand.asked)
        return time.monotonic() + host.delay_seconds

    def _ask_page(self, host: Host[Visit], visit: Visit) -> float:
        """One request for a page; what becomes of the visit, and when the host's next turn may come."""
        visit.attempts += 1
        answer: Answer | None = None
        try:
            with self.latencies.timed():
                answer = self.client.get(visit.url)
        except RequestError as error:
            host.failures = host.failures + 1 if error.failure in HOST_FAILURES else 0
            wait = self._retry_wait(visit, error.failure in RETRIED_FAILURES, None)
            outcome: Outcome | None = Dropped(visit.asked, Reason(error.failure), error.detail)
        else:
            host.failures = 0
            wait = self._retry_wait(visit, answer.status in RETRIED, answer)
            outcome = None if wait is not None else self._outcome(host, visit, answer)
        if wait is not None:
            host.queue.append(visit)
            return time.monotonic() + max(wait, host.delay_seconds)
        if outcome is not None:
            self.record(outcome)
        return time.monotonic() + host.delay_seconds

    def _retry_wait(self, visit: Visit, retriable: bool, answer: Answer | None) -> float | None:
        """Seconds until the next try, or None where there is none."""
        if visit.rules_for is not None:
            visit.attempts += 1
        if not retriable or visit.attempts > self.manners.retries:
            return None
        asked = retry_after_seconds(answer.header("retry-after"), self.now()) if answer is not None else None
        pause = back_off_seconds(visit.attempts, self.manners.back_off_seconds) if asked is None else asked
        return min(pause, self.manners.max_wait_seconds)

    def _outcome(self, host: Host[Visit], visit: Visit, answer: Answer) -> Outcome | None:
        """Of an answer; None where a redirect was queued."""
        if answer.status in MOVED:
            return self._moved(host, visit, answer)
        return page_of(visit.asked, answer, self.now(), visit.way)

    def _moved(self, host: Host[Visit], visit: Visit, answer: Answer) -> Outcome | None:
        if visit.redirects >= self.manners.max_redirects:
            return Dropped(visit.asked, Reason.TOO_MANY_REDIRECTS, f"more than {self.manners.max_redirects}")
        target = _target(answer)
        if target is None:
            return Dropped(visit.asked, Reason.BAD_REDIRECT, answer.header("location")[:80])
        way = visit.way.then(exchange_members(answer, self.now()))
        if not self.owns(target):
            return Moved(visit.asked, target, visit.redirects + 1, way)
        self._queue(host, Visit(visit.asked, target, visit.redirects + 1, way=way), errand=False)
        return None

    def _queue(self, host: Host[Visit], visit: Visit, *, errand: bool) -> None:
        """Put a redirect's target where its own host takes its turn; our own host is not locked, it is in this thread's hands."""
        name = host_key(visit.url)
        if name != host.name:
            self._hosts.add(name, visit, errand=errand)
        elif errand:
            host.errands.append(visit)
        else:
            host.queue.appendleft(visit)


def _target(answer: Answer) -> str | None:
    try:
        return redirect_target(answer)
    except ValueError:
        return None

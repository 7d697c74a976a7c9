"""A crawl: every host is asked politely, every URL gets one outcome, whatever servers do."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline.pages.client import Client
from pipeline.pages.cookies import ChainCookies
from pipeline.pages.crew import Crew
from pipeline.pages.failures import AddressBusyError, RequestError, RequestFailure
from pipeline.pages.frontier import Frontier, Host, host_key
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.latencies import Latencies
from pipeline.pages.media import PAGE_TYPES
from pipeline.pages.outage import UNREACHED, OutageWatch
from pipeline.pages.outcomes import (
    NO_REDIRECTS,
    REDIRECT_STATUSES,
    DroppedLink,
    FetchOutcome,
    KeptPage,
    MovedLink,
    PageDrop,
    page_or_drop,
    redirect_target,
)
from pipeline.pages.politeness import MAX_REDIRECTS, Politeness
from pipeline.pages.refresh import refresh_target
from pipeline.pages.retry import RETRIED_FAILURES, RETRIED_STATUSES, back_off_seconds, requested_wait_seconds
from pipeline.pages.robots import MAX_BYTES, Robots, robots_url
from pipeline.pages.robots_cache import RobotsCache
from pipeline.pages.warc_writer import RedirectChain, UnwritableResponseError, exchange_members
from pipeline.redaction import excerpt

NO_COOKIES = ChainCookies()
HOST_FAILURES = frozenset({RequestFailure.TIMEOUT, RequestFailure.CONNECTION, RequestFailure.DNS, RequestFailure.TLS})
"""Failures that are the host's, not the page's: several in a row set the host aside."""
SLOW_SECONDS, SLOW_SHARE = 5.0, 4
"""A host whose last request took longer is slow: one of four threads may ask such a host."""
ROBOTS_RETRIED_STATUSES = RETRIED_STATUSES - {408}
"""408 for a robots.txt means that it is unavailable, as other 4xx do."""


@dataclass(slots=True, eq=False)
class CrawlRequest:
    """A request for a page: `link_url` is the link's URL, `url` where its redirects have led.

    A page that an earlier crawl holds is only vetted by robots.txt.
    """

    link_url: str
    url: str
    redirects: int = 0
    chain: RedirectChain = NO_REDIRECTS
    attempts: int = 0
    cookies: ChainCookies = NO_COOKIES
    is_held: bool = False


@dataclass(slots=True, eq=False)
class RobotsRequest:
    """A request for the robots.txt at `address`, for which `waiting_host` is parked; `url` is where redirects have led."""

    waiting_host: str
    address: str
    url: str
    redirects: int = 0
    attempts: int = 0


CrawlHost = Host[CrawlRequest, RobotsRequest]


def first_requests(urls: Iterable[str]) -> list[CrawlRequest]:
    """The first request of each link."""
    return [CrawlRequest(url, url) for url in urls]


@dataclass
class Crawl:
    """Fetches URLs with many threads; `record` is called once per URL, from any of the threads.

    A redirect to a URL that the crawl does not own ends as `MovedLink`. With `outages`, the crawl ends with OutageError where the
    network is down.
    """

    client: Client
    politeness: Politeness
    record: Callable[[FetchOutcome], None]
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    owns: Callable[[str], bool] = field(default=lambda _: True)
    latencies: Latencies = field(default_factory=Latencies)
    kept_types: frozenset[str] = PAGE_TYPES
    outages: OutageWatch | None = None

    def __post_init__(self) -> None:
        self._frontier: Frontier[CrawlRequest, RobotsRequest] = Frontier(
            self.politeness.delay_seconds, self.politeness.domain_requests, self.politeness.address_requests
        )
        self._robots = RobotsCache()
        self._error: BaseException | None = None

    def run(self, requests: Sequence[CrawlRequest], threads: int) -> None:
        """Make all requests. An error that is not an outcome stops every thread and is raised."""
        for request in requests:
            self._frontier.add_page(host_key(request.url), request)
        self._frontier.limit_slow(max(1, threads // SLOW_SHARE))
        self._crew = Crew(self._work, min(threads, len(requests)))
        self._crew.run()
        if self._error is not None:
            raise self._error
        for drop in self.outages.rest() if self.outages else ():
            self.record(drop)

    def stop(self) -> None:
        """End `run` once the open requests have ended; the other URLs get no outcome."""
        self._frontier.stop()

    def _work(self) -> None:
        try:
            host = self._frontier.take()
            while host is not None:
                with self._crew:
                    ready_at = self._turn(host)
                if self._crew.retire():
                    self._frontier.give_back(host, ready_at)
                    return
                host = self._frontier.exchange(host, ready_at)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits in `run`
            self._error = self._error or error
            self._frontier.stop()

    def _turn(self, host: CrawlHost) -> float:
        """Make at most one request to the host. Returns when its next turn may come."""
        while host.runnable:
            if host.robots:
                return self._ask_robots(host, host.robots.popleft())
            request = host.pages.popleft()
            if request.is_held and (kept := self._vetted(request)) is not None:
                self._record(kept)
            elif host.failures >= self.politeness.host_failures:
                self._record(
                    DroppedLink(request.link_url, PageDrop.HOST_SET_ASIDE, f"{host.name}: {host.failures} failures in a row")
                )
            elif not self.politeness.robots:
                return self._ask_page(host, request)
            elif (robots := self._robots.get(request.url)) is None:
                self._park(host, request)
            elif (refusal := self._refusal(host, request, robots)) is not None:
                self._record(refusal)
            else:
                return self._ask_page(host, request)
        return host.ready_at

    def _vetted(self, request: CrawlRequest) -> FetchOutcome | None:
        """The outcome of a held page; None where its robots.txt has yet to be asked for. A failure does not lose the page."""
        robots = self._robots.get(request.url)
        if robots is None and self.politeness.robots:
            return None
        if isinstance(robots, Robots) and robots.has_rules and not robots.allows(request.url):
            return DroppedLink(request.link_url, PageDrop.ROBOTS)
        return KeptPage(request.link_url)

    def _park(self, host: CrawlHost, request: CrawlRequest) -> None:
        """Let the host's pages wait for the robots.txt that applies to the request."""
        host.pages.appendleft(request)
        host.parked = True
        address = robots_url(request.url)
        host.robots.append(RobotsRequest(host.name, address, address))

    def _refusal(self, host: CrawlHost, request: CrawlRequest, robots: Robots | RequestError) -> DroppedLink | None:
        """The drop of a request that robots.txt forbids."""
        if isinstance(robots, RequestError):
            return DroppedLink(request.link_url, PageDrop(robots.failure), f"robots.txt: {robots.detail}")
        host.delay_seconds = max(host.delay_seconds, robots.delay_seconds(self.politeness.delay_seconds))
        if robots.allows(request.url):
            return None
        return DroppedLink(request.link_url, PageDrop.ROBOTS if robots.has_rules else PageDrop.ROBOTS_UNREACHABLE)

    def _ask_robots(self, host: CrawlHost, request: RobotsRequest) -> float:
        """Make one request for a robots.txt. Returns when the host's next turn may come."""
        request.attempts += 1
        try:
            response = self._get(host, request.url, first_bytes=MAX_BYTES)
        except AddressBusyError:
            request.attempts -= 1
            host.robots.appendleft(request)
            return host.ready_at
        except RequestError as error:
            wait = self._retry_wait(request.attempts, error.failure in RETRIED_FAILURES, None)
            robots: Robots | RequestError = error
        else:
            target = _target(response)
            if target is not None and request.redirects < MAX_REDIRECTS:
                redirected = RobotsRequest(request.waiting_host, request.address, target, request.redirects + 1)
                self._queue_robots(host, redirected)
                return time.monotonic() + host.delay_seconds
            wait = self._retry_wait(request.attempts, response.status in ROBOTS_RETRIED_STATUSES, response)
            robots = self._robots_of(response)
        if wait is not None:
            host.robots.appendleft(request)
            return time.monotonic() + max(wait, host.delay_seconds)
        self._robots.store(request.address, robots)
        if isinstance(robots, Robots) and request.waiting_host == host.name:
            host.delay_seconds = max(host.delay_seconds, robots.delay_seconds(self.politeness.delay_seconds))
        self._frontier.unpark(request.waiting_host)
        return time.monotonic() + host.delay_seconds

    def _robots_of(self, response: HttpResponse) -> Robots:
        agent = self.politeness.agent
        if 200 <= response.status < 300:
            return Robots.parse(response.body, agent)
        if response.status >= 500 or response.status == 429:
            return Robots.unreachable(agent)
        return Robots.unavailable(agent)

    def _ask_page(self, host: CrawlHost, request: CrawlRequest) -> float:
        """Make one request for a page. Returns when the host's next turn may come."""
        request.attempts += 1
        try:
            with self.latencies.timed():
                response = self._get(host, request.url, cookie=request.cookies.header(request.url))
        except AddressBusyError:
            request.attempts -= 1
            host.pages.appendleft(request)
            return host.ready_at
        except RequestError as error:
            host.failures = host.failures + 1 if error.failure in HOST_FAILURES else 0
            wait = self._retry_wait(request.attempts, error.failure in RETRIED_FAILURES, None)
            outcome: FetchOutcome | None = DroppedLink(request.link_url, PageDrop(error.failure), error.detail)
        else:
            host.failures = 0
            wait = self._retry_wait(request.attempts, response.status in RETRIED_STATUSES, response)
            outcome = None if wait is not None else self._outcome(host, request, response)
        if wait is not None:
            host.pages.append(request)
            return time.monotonic() + max(wait, host.delay_seconds)
        if outcome is not None:
            self._record(outcome)
        return time.monotonic() + host.delay_seconds

    def _get(self, host: CrawlHost, url: str, first_bytes: int | None = None, cookie: str = "") -> HttpResponse:
        """Send one request to the host, and note what it shows: whether the host stalls, and whether the network is up.

        Raises RequestError, AddressBusyError, OutageError.
        """
        number = self.outages.begin() if self.outages else 0
        evidence: str | None = None
        started = time.monotonic()
        try:
            response = self.client.get(url, first_bytes, cookie, lambda address: self._frontier.enter_address(host, address))
            evidence = ""
        except RequestError as error:
            if error.connected is not None:
                evidence = "" if error.connected else error.failure
            raise
        finally:
            host.slow = time.monotonic() - started >= SLOW_SECONDS
            for drop in self.outages.end(number, host.site, evidence) if self.outages else ():
                self.record(drop)
        return response

    def _record(self, outcome: FetchOutcome) -> None:
        """Record an outcome; a drop that an outage may have caused waits until the network is seen to be up."""
        if self.outages and isinstance(outcome, DroppedLink) and outcome.reason in UNREACHED:
            self.outages.wait(outcome)
        else:
            self.record(outcome)

    def _retry_wait(self, attempts: int, retriable: bool, response: HttpResponse | None) -> float | None:
        """Seconds until the next attempt; None where there is none."""
        if not retriable or attempts > self.politeness.retries:
            return None
        requested = requested_wait_seconds(response.headers, self.now()) if response is not None else None
        pause = back_off_seconds(attempts, self.politeness.back_off_seconds) if requested is None else requested
        return min(pause, self.politeness.max_wait_seconds)

    def _outcome(self, host: CrawlHost, request: CrawlRequest, response: HttpResponse) -> FetchOutcome | None:
        """The outcome of a response; None where it is a redirect that this crawl follows."""
        if response.status in REDIRECT_STATUSES:
            return self._follow(host, request, response, _target(response))
        if (target := refresh_target(response)) is not None:
            return self._follow(host, request, response, target)
        return page_or_drop(request.link_url, response, self.now(), request.chain, self.kept_types)

    def _follow(self, host: CrawlHost, request: CrawlRequest, response: HttpResponse, target: str | None) -> FetchOutcome | None:
        if request.redirects >= self.politeness.max_redirects:
            return DroppedLink(request.link_url, PageDrop.TOO_MANY_REDIRECTS, f"more than {self.politeness.max_redirects}")
        if target is None:
            return DroppedLink(request.link_url, PageDrop.BAD_REDIRECT, excerpt(response.header("location"), 80))
        try:
            chain = request.chain.then(exchange_members(response, self.now()))
        except UnwritableResponseError as error:
            return DroppedLink(request.link_url, PageDrop.BAD_RESPONSE, excerpt(str(error), 80))
        if not self.owns(target):
            return MovedLink(request.link_url, target, request.redirects + 1, chain)
        cookies = request.cookies.after(response, target)
        self._queue_page(host, CrawlRequest(request.link_url, target, request.redirects + 1, chain, cookies=cookies))
        return None

    def _queue_page(self, host: CrawlHost, request: CrawlRequest) -> None:
        """Queue a redirected request at its own host. `host` is in this thread's hands and is not locked."""
        name = host_key(request.url)
        if name == host.name:
            host.pages.appendleft(request)
        else:
            self._frontier.add_page(name, request)

    def _queue_robots(self, host: CrawlHost, request: RobotsRequest) -> None:
        """Queue a redirected robots request at its own host, as `_queue_page` does."""
        name = host_key(request.url)
        if name == host.name:
            host.robots.append(request)
        else:
            self._frontier.add_robots(name, request)


def _target(response: HttpResponse) -> str | None:
    """The URL that a response redirects to; None where it is no redirect, or one that leads nowhere."""
    if response.status not in REDIRECT_STATUSES:
        return None
    try:
        return redirect_target(response)
    except ValueError:
        return None

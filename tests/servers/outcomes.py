"""A crawl of test servers, and its outcome for each URL."""

import sys
import threading
from collections import Counter
from collections.abc import Callable

from servers.hostile import PAGE, HostileServer
from servers.witness import WitnessServer

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome
from pipeline.pages.politeness import Politeness

LOOPBACK = AddressPolicy.of(["127.0.0.1/32"])


class CrawlRecord:
    """The outcomes of a crawl, in their order; `notify` is called with each."""

    def __init__(self, notify: Callable[[FetchOutcome], None] = lambda _: None) -> None:
        self.outcomes: dict[str, FetchOutcome] = {}
        self.times: Counter[str] = Counter()
        self._notify = notify
        self._lock = threading.Lock()

    def __call__(self, outcome: FetchOutcome) -> None:
        with self._lock:
            self.outcomes[outcome.url] = outcome
            self.times[outcome.url] += 1
            self._notify(outcome)

    def word(self, url: str) -> str:
        outcome = self.outcomes[url]
        return str(outcome.reason) if isinstance(outcome, DroppedLink) else PAGE

    @property
    def bodies(self) -> list[bytes]:
        return [outcome.response.body for outcome in self.outcomes.values() if isinstance(outcome, FetchedPage)]


def crawl(
    server: HostileServer | WitnessServer,
    urls: list[str],
    threads: int,
    limits: RequestLimits,
    notify: Callable[[FetchOutcome], None] = lambda _: None,
    **politeness: object,
) -> CrawlRecord:
    """Crawl the URLs, without delays, retries and a limit for the servers' one address unless asked.

    Each URL has exactly one outcome.
    """
    record = CrawlRecord(notify)
    polite = Politeness(**({"delay_seconds": 0.0, "retries": 0, "address_requests": sys.maxsize} | politeness))  # type: ignore[arg-type]
    with Client("webtext/test", LOOPBACK, limits, lookup=server.lookup) as client:
        Crawl(client, polite, record).run(first_requests(urls), threads)
    assert set(record.times) == set(urls)
    assert set(record.times.values()) == {1}
    return record

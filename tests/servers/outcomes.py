"""A crawl of test servers, and what it recorded of each URL."""

import threading
from collections import Counter

from servers.hostile import PAGE, HostileServer
from servers.witness import WitnessServer

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, Limits
from pipeline.pages.crawl import Crawl, Manners, visits
from pipeline.pages.outcomes import Dropped, Fetched, Outcome

LOOPBACK = AddressPolicy.of(["127.0.0.1/32"])


class Crawled:
    """What a crawl recorded, each URL once."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.times: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes[outcome.url] = outcome
            self.times[outcome.url] += 1

    def word(self, url: str) -> str:
        outcome = self.outcomes[url]
        return str(outcome.reason) if isinstance(outcome, Dropped) else PAGE

    @property
    def bodies(self) -> list[bytes]:
        return [outcome.answer.body for outcome in self.outcomes.values() if isinstance(outcome, Fetched)]


def crawl(server: HostileServer | WitnessServer, urls: list[str], threads: int, limits: Limits, **manners: object) -> Crawled:
    crawled = Crawled()
    polite = Manners(**({"delay_seconds": 0.0, "retries": 0} | manners))  # type: ignore[arg-type]
    with Client("webtext/test", LOOPBACK, limits, lookup=server.lookup) as client:
        Crawl(client, polite, crawled).run(visits(urls), threads)
    assert set(crawled.times) == set(urls)
    assert set(crawled.times.values()) == {1}
    return crawled

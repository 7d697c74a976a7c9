"""Which of a folder's pages and drops hold for other settings, and which links have to be asked again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pipeline.pages.addresses import AddressPolicy, ForbiddenAddressError
from pipeline.pages.client import Client
from pipeline.pages.crawl import CrawlRequest
from pipeline.pages.failures import RequestError
from pipeline.pages.held import read_held
from pipeline.pages.outage import NO_EVIDENCE, UNREACHED
from pipeline.pages.outcomes import MAY_PASS, DroppedLink, PageDrop
from pipeline.pages.politeness import product_token
from pipeline.pages.robots import robots_url
from pipeline.pages.share import Share
from pipeline.records import Link, Page
from pipeline.urls import domain_of, host_of

REFUSALS = frozenset(
    {
        PageDrop.HTTP_400,
        PageDrop.HTTP_401,
        PageDrop.HTTP_402,
        PageDrop.HTTP_403,
        PageDrop.HTTP_405,
        PageDrop.HTTP_406,
        PageDrop.HTTP_418,
        PageDrop.HTTP_429,
        PageDrop.HTTP_451,
        PageDrop.HTTP_OTHER,
    }
)
"""Answers that may depend on who asks."""

ASKED_ANEW: Mapping[str, frozenset[PageDrop]] = {
    "contact": REFUSALS,
    "user_agent": REFUSALS | {PageDrop.ROBOTS},
    "pdf": frozenset({PageDrop.NOT_HTML}),
    "robots": frozenset({PageDrop.ROBOTS, PageDrop.ROBOTS_UNREACHABLE}),
    "retries": MAY_PASS,
    "deadline_seconds": frozenset({PageDrop.TIMEOUT, PageDrop.HOST_SET_ASIDE}),
    "max_body_bytes": frozenset({PageDrop.TOO_LARGE}),
    "max_redirects": frozenset({PageDrop.TOO_MANY_REDIRECTS}),
    "allow_addresses": frozenset({PageDrop.FORBIDDEN_ADDRESS}),
    "fetched_at": frozenset(),
    "warc_bytes": frozenset(),
    "takedown": frozenset({PageDrop.TAKEN_DOWN}),
    **dict.fromkeys(("source", "as_of", "within", "side"), frozenset()),  # of archives, whose folders are not updated
}
"""Drops that a change of each recorded setting may turn into pages: their links are asked again. Pages stay."""

GROWS = frozenset({"retries", "deadline_seconds", "max_body_bytes", "max_redirects"})
"""Settings that only help a link when they grow."""

CONTROLS = 10


@dataclass(frozen=True, slots=True)
class Change:
    """What changed settings ask of a folder: drops to ask again by reason, and whether pages have to be vetted by robots.txt."""

    asked: frozenset[str]
    vets_robots: bool


def change(old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
    """What the change of recorded settings asks of a folder. A setting of another version asks all drops again."""
    asked: set[str] = set()
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if name not in GROWS or before is None or after is None or after > before:
            asked |= ASKED_ANEW.get(name, frozenset(PageDrop))
    rules = [(settings.get("robots"), product_token(settings.get("user_agent") or "")) for settings in (old, new)]
    return Change(frozenset(asked), bool(new.get("robots")) and rules[0] != rules[1])


@dataclass(frozen=True, slots=True)
class Reuse:
    """The outcomes that the file `listing` names, and which of them hold."""

    listing: str
    change: Change
    max_body_bytes: int
    policy: AddressPolicy

    def kept(
        self, share: Share, links: Mapping[str, Link], requests: Mapping[str, CrawlRequest]
    ) -> dict[str, Page | DroppedLink]:
        """The outcomes that hold for the share's links, by URL, with what the present links say of them.

        A link that has no request, since the credential in its address was removed, keeps its outcome.
        """
        kept: dict[str, Page | DroppedLink] = {}
        for held in read_held(self.listing, share.first, share.last):
            link = links.get(held.url)
            if link is None:
                continue
            if isinstance(held, DroppedLink):
                if held.reason not in self.change.asked | {PageDrop.CREDENTIALS_REMOVED} or held.url not in requests:
                    kept[held.url] = held
            elif held.body_bytes > self.max_body_bytes:
                kept[held.url] = DroppedLink(held.url, PageDrop.TOO_LARGE, f"more than {self.max_body_bytes:,} bytes")
            elif self._is_admitted(held):
                kept[held.url] = replace(
                    held, dedup_key=link.dedup_key, domain=link.domain, karma=link.karma, submitted_at=link.submitted_at
                )
        return kept

    def _is_admitted(self, page: Page) -> bool:
        """Whether the page's literal addresses, if it has any, may be asked. Those behind names are not known any more."""
        try:
            for url in (page.url, page.final_url):
                self.policy.vet_host(host_of(url))
        except ForbiddenAddressError:
            return False
        return True


def controls(kept: Iterable[Page | DroppedLink]) -> list[str]:
    """Some sites that answered before, as the URLs of their robots.txt. They show whether the network is up where only links
    that failed are asked.
    """
    return list(islice(_one_per_domain(kept), CONTROLS))


def _one_per_domain(kept: Iterable[Page | DroppedLink]) -> Iterator[str]:
    seen: set[str] = set()
    for outcome in kept:
        if isinstance(outcome, DroppedLink) and outcome.reason in UNREACHED | NO_EVIDENCE:
            continue
        url = outcome.url if isinstance(outcome, DroppedLink) else outcome.final_url
        domain = domain_of(host_of(url))
        if domain not in seen:
            seen.add(domain)
            yield robots_url(url)


def is_any_reached(client: Client, urls: Iterable[str]) -> bool:
    """Whether the server of one of the URLs takes a connection."""
    for url in urls:
        try:
            client.get(url, first_bytes=1)
        except RequestError as error:
            if error.connected:
                return True
        else:
            return True
    return False

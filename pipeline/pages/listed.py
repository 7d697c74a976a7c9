"""What a take-down list means for the crawl: listed pages are not asked, and pages that lead to listed ones are not kept.

Documents and passages, which a list may also name, are known only after extraction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome, PageDrop
from pipeline.records import Link, Page
from pipeline.redaction import redact
from pipeline.storage.takedown_list import SITE, SUBMISSION, URL, entries, site_of
from pipeline.urls import dedup_key, host_of


@dataclass(frozen=True, slots=True)
class Listed:
    """Dedup keys, canonical sites with all their subdomains, and submission ids (without `t3_`) that must not be fetched."""

    keys: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    submissions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, path: str | None) -> "Listed":
        """What the list at `path` names; nothing for None. Raises InputError for a bad list."""
        found = entries(path) if path else []
        kinds = [frozenset(entry.value for entry in found if entry.kind == kind) for kind in (URL, SITE, SUBMISSION)]
        return cls(*kinds)

    def of_link(self, link: Link) -> str | None:
        """What is listed of a link, as its drop says it; None where nothing is."""
        if names := [s.id.lower() for s in link.submissions if s.id.lower() in self.submissions]:
            return f"{SUBMISSION} {min(names)}"
        return self.of_addresses([link.url])

    def of_addresses(self, addresses: Iterable[str]) -> str | None:
        """What is listed of the addresses of a page: its own, and those that it was redirected to."""
        if not (self.keys or self.sites):
            return None
        for address in addresses:
            try:
                key = dedup_key(address)
            except ValueError:  # a redirect may lead to anything
                continue
            if key in self.keys:
                return f"{URL} {key}"
            if site := site_of(host_of(key), self.sites):
                return f"{SITE} {site}"
        return None

    def outcome(self, outcome: FetchOutcome) -> FetchOutcome:
        """The outcome of a link; a drop where the page lies at a listed address."""
        if isinstance(outcome, FetchedPage):
            listed = self.of_addresses((redact(outcome.response.url), *outcome.chain.urls))
            if listed:
                return DroppedLink(outcome.url, PageDrop.TAKEN_DOWN, listed)
        return outcome

    def drops(self, links: Mapping[str, Link]) -> dict[str, DroppedLink]:
        """The drops of listed links, by URL."""
        found = {url: self.of_link(link) for url, link in links.items()} if self else {}
        return {url: DroppedLink(url, PageDrop.TAKEN_DOWN, listed) for url, listed in found.items() if listed}

    def held(self, page: Page | DroppedLink) -> Page | DroppedLink:
        """An outcome of an earlier crawl; a drop where its page lies at an address that is listed now."""
        if isinstance(page, Page) and (listed := self.of_addresses((page.final_url, *page.redirects))):
            return DroppedLink(page.url, PageDrop.TAKEN_DOWN, listed)
        return page

    def __bool__(self) -> bool:
        return bool(self.keys or self.sites or self.submissions)


NOTHING_LISTED: Final = Listed()

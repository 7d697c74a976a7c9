"""The pages stage's work: the links of a part to a WARC file, an index of pages, and drops.

A journal keeps finished links over crashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.crawl import Crawl, CrawlRequest
from pipeline.pages.held import Earlier, spill_outcomes
from pipeline.pages.journal import Journal
from pipeline.pages.listed import NOTHING_LISTED, Listed
from pipeline.pages.outcomes import DroppedLink, FetchOutcome, PageDrop
from pipeline.pages.output import journal_entry, publish_journal
from pipeline.pages.reuse import Reuse, controls, is_any_reached
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.records import Link, Page
from pipeline.storage import files

Kept = Mapping[str, Page | DroppedLink]


@dataclass(frozen=True, slots=True)
class FetchPart:
    """Fetches the links of one part, but for those whose outcome in an earlier crawl is to be reused."""

    settings: PagesSettings
    reuse: Reuse | None = None
    listed: Listed = NOTHING_LISTED
    earlier: Earlier | None = None

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Fetch the links that the journal lacks, then publish the journal, sorted by URL.

        Where there are sources besides the web, only the links without a page are fetched, and the outcomes are spilled.
        """
        share = part.work
        writer.fence()
        links, requests = share.read()
        if self.earlier and not share.moved:
            done = self.earlier.done(share)
            links = {url: link for url, link in links.items() if url not in done}
        taken_down = self.listed.drops(links)
        requests = {url: request for url, request in requests.items() if url in links and url not in taken_down}
        held = self.reuse.kept(share, links, requests) if self.reuse else {}
        kept: Kept = {url: self.listed.held(outcome) for url, outcome in held.items() if url not in taken_down} | taken_down
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            for url in links.keys() - requests.keys() - kept.keys() - journal.entries.keys():
                journal.append(*journal_entry(DroppedLink(url, PageDrop.CREDENTIALS_REMOVED), links[url]))
                writer.advance()
            missing = [request for url, request in self._needed(requests, kept).items() if url not in journal.entries]
            self._fetch(missing, share, journal, links, kept, writer)
            if self.earlier:
                spill_outcomes(journal, links, writer, self.settings, self.settings.about, self.earlier)
            else:
                publish_journal(journal, links, writer, self.settings.warc_bytes, self.settings.about, kept)

    def _needed(self, requests: dict[str, CrawlRequest], kept: Kept) -> dict[str, CrawlRequest]:
        """The requests without those for kept outcomes; with those for kept pages where they have to be vetted."""
        vets = self.reuse is not None and self.reuse.change.vets_robots
        needed = {url: request for url, request in requests.items() if url not in kept or (vets and isinstance(kept[url], Page))}
        for url in needed.keys() & kept.keys():
            needed[url].is_held = True
        return needed

    def _fetch(
        self,
        requests: list[CrawlRequest],
        share: Share,
        journal: Journal,
        links: dict[str, Link],
        kept: Kept,
        writer: PartWriter,
    ) -> None:
        def record(outcome: FetchOutcome) -> None:
            journal.append(*journal_entry(self.listed.outcome(outcome), links[outcome.url]))
            writer.advance()

        if requests:
            with self.settings.client() as client:
                watch = self.settings.outage_watch()
                if watch and (sites := controls(kept.values())):
                    watch.control(lambda: is_any_reached(client, sites))
                crawl = Crawl(
                    *(client, self.settings.politeness, record, self.settings.now, share.owns),
                    kept_types=self.settings.kept_types,
                    outages=watch,
                )
                crawl.run(requests, self.settings.threads)
                writer.timings.update(crawl.latencies.counts())

"""The pages stage's work: the links of a part to a WARC file, an index of pages, and drops.

A journal keeps finished links over crashes.
"""

from dataclasses import dataclass

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.crawl import Crawl, CrawlRequest
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import DroppedLink, FetchOutcome, PageDrop
from pipeline.pages.output import journal_entry, publish_journal
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.records import Link
from pipeline.storage import files


@dataclass(frozen=True, slots=True)
class FetchPart:
    """Fetches the links of one part."""

    settings: PagesSettings

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Fetch the links that the journal lacks, then publish the journal, sorted by URL."""
        share = part.work
        links, requests = share.read()
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            for url in links.keys() - requests.keys() - journal.entries.keys():
                journal.append(*journal_entry(DroppedLink(url, PageDrop.CREDENTIALS_REMOVED), links[url]))
                writer.advance()
            missing = [request for url, request in requests.items() if url not in journal.entries]
            self._fetch(missing, share, journal, links, writer)
            publish_journal(journal, links, writer, self.settings.warc_bytes, self.settings.about)

    def _fetch(
        self, requests: list[CrawlRequest], share: Share, journal: Journal, links: dict[str, Link], writer: PartWriter
    ) -> None:
        def record(outcome: FetchOutcome) -> None:
            journal.append(*journal_entry(outcome, links[outcome.url]))
            writer.advance()

        if requests:
            with self.settings.client() as client:
                crawl = Crawl(client, self.settings.politeness, record, self.settings.now, share.owns)
                crawl.run(requests, self.settings.threads)
                writer.timings.update(crawl.latencies.counts())

"""The pages stage's work: a part's links to a WARC file, an index of pages, and drops, with a journal against crashes."""

from dataclasses import dataclass

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.crawl import Crawl, Visit
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import Outcome
from pipeline.pages.output import entry, publish
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.records import Link
from pipeline.storage import files


@dataclass(frozen=True, slots=True)
class FetchPart:
    """Fetches the links of one part; the part's work is its Share."""

    settings: PagesSettings

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Fetch what the journal does not hold, then publish all it holds, sorted by URL."""
        share = part.work
        links, first = share.read()
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            self._fetch([visit for url, visit in first.items() if url not in journal.entries], share, journal, links, writer)
            publish(journal, links, writer, self.settings.warc_bytes, self.settings.about)

    def _fetch(self, visits: list[Visit], share: Share, journal: Journal, links: dict[str, Link], writer: PartWriter) -> None:
        def record(outcome: Outcome) -> None:
            journal.append(*entry(outcome, links[outcome.url]))
            writer.advance()

        if visits:
            with self.settings.client() as client:
                crawl = Crawl(client, self.settings.manners, record, self.settings.now, share.owns)
                crawl.run(visits, self.settings.threads)
                writer.timings.update(crawl.latencies.counts())

"""Pages copied out of WARC files that others crawled, in place of the live web."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, numbered
from pipeline.engine.stage import Call
from pipeline.engine.writer import PartWriter
from pipeline.pages.archive_index import SORTED, SPILL, Captures, IndexArchive, SortCaptures, archive_files, bucket_count
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import REDIRECT_STATUSES, DroppedLink, FetchOutcome, PageDrop, page_or_drop, redirect_target
from pipeline.pages.output import journal_entry, publish_journal, read_links
from pipeline.pages.politeness import MAX_REDIRECTS
from pipeline.pages.redaction import redact
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import read_record
from pipeline.pages.warc_writer import RedirectChain, exchange_members
from pipeline.records import Link
from pipeline.storage import files


@dataclass(frozen=True, slots=True)
class CopyPart:
    """Copies the pages of one part's links out of archives.

    `archives` are paths of WARC files, `buckets` those of their index.
    """

    settings: PagesSettings
    archives: tuple[str, ...]
    buckets: tuple[str, ...]

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Copy the links that the journal lacks, then publish the journal, as `FetchPart` does."""
        links = {link.url: link for path in part.work.shards for link in read_links(path)}
        captures = Captures(self.archives, self.buckets)
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(journal.entries))
            for url, link in links.items():
                if url not in journal.entries:
                    journal.append(*journal_entry(archived_outcome(link, captures), link))
                    writer.advance()
            publish_journal(journal, links, writer, self.settings.warc_bytes, {})


def copy_from_archives(call: Call[PagesSettings], phase: PhaseFolder) -> CopyPart:
    """The work of a part whose pages come from the archives of --fetch_from, which are indexed first."""
    index, captures = phase.sibling("index"), phase.sibling("captures")
    paths = archive_files(call.settings.fetch_from)
    buckets = bucket_count(paths)
    parts = numbered(enumerate(paths), lambda work: files.size(work[1]))
    indexed = call.engine.work(index, parts, IndexArchive(buckets), "bytes")
    runs = shuffle.run_paths(index, SPILL, indexed)
    sorting = shuffle.gather(phase, "captures", SPILL, runs, buckets, call.engine.work)
    receipts = call.engine.work(captures, sorting, SortCaptures(), "buckets")
    return CopyPart(call.settings, tuple(paths), tuple(shuffle.run_paths(captures, SORTED, receipts)))


def archived_outcome(link: Link, captures: Captures) -> FetchOutcome:
    """A link's outcome from the archives. Redirects are followed as far as their targets are archived."""
    url, chain = link.url, RedirectChain()
    for _ in range(MAX_REDIRECTS + 1):
        capture = captures.best(url, link.submitted_at)
        if capture is None:
            return DroppedLink(link.url, PageDrop.NOT_ARCHIVED, "" if url == link.url else redact(url))
        try:
            response, date = _read(*capture)
            if response.status not in REDIRECT_STATUSES:
                return page_or_drop(link.url, response, date, chain)
            chain = chain.then(exchange_members(response, date))
            url = redirect_target(response)
        except ValueError as error:
            return DroppedLink(link.url, PageDrop.BAD_RECORD, str(error)[:200])
    return DroppedLink(link.url, PageDrop.TOO_MANY_REDIRECTS)


def _read(path: str, offset: int, length: int) -> tuple[HttpResponse, datetime]:
    record = read_record(path, offset, length)
    return http_response(record), record.date

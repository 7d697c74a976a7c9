"""Pages copied out of WARC files that others crawled, in place of the live web."""

import logging
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace

from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.stage import Call
from pipeline.engine.writer import PartWriter
from pipeline.pages.archive_files import archive_files, skipped_files
from pipeline.pages.archive_index import (
    BAD_RECORDS,
    OWN_PAGE,
    SORTED,
    SPILL,
    WHOLE,
    Capture,
    Captures,
    IndexArchive,
    SortCaptures,
    bucket_count,
)
from pipeline.pages.archive_unpacking import UNPACKED
from pipeline.pages.held import Earlier, spill_outcomes
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.journal import Journal
from pipeline.pages.listed import NOTHING_LISTED, Listed
from pipeline.pages.media import PAGE_TYPES
from pipeline.pages.outcomes import (
    REDIRECT_STATUSES,
    DroppedLink,
    FetchedPage,
    FetchOutcome,
    Origin,
    PageDrop,
    distance_days,
    page_or_drop,
    redirect_target,
)
from pipeline.pages.output import journal_entry, publish_journal, read_links
from pipeline.pages.politeness import MAX_REDIRECTS
from pipeline.pages.refresh import refresh_target
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.stored_response import http_response, stored_head
from pipeline.pages.warc_reader import RECORD_FAILURES
from pipeline.pages.warc_record import TruncatedRecordError, WarcRecord, parse_date, payload_digest
from pipeline.pages.warc_writer import RedirectChain, UnwritableResponseError, exchange_members
from pipeline.records import Link
from pipeline.redaction import excerpt, redact
from pipeline.storage import files

logger = logging.getLogger(__name__)
SKIPPED_FILES = "skipped_files"
"""The counter of a folder's files that are not archives."""
CAPTURES_PER_LINK = 20
"""Captures that are read for one link: a page may have thousands, each of them damaged or a redirect."""
FAILURES_OF_RECORDS = frozenset(
    {
        PageDrop.NOT_ARCHIVED,
        PageDrop.BAD_RECORD,
        PageDrop.BAD_RESPONSE,
        PageDrop.TRUNCATED,
        PageDrop.EMPTY,
        PageDrop.BAD_REDIRECT,
        PageDrop.TOO_MANY_REDIRECTS,
    }
)
"""Drops that say nothing about the page: another capture may have it."""


class ArchivedElsewhereError(ValueError):
    """A record refers to one that is not in the archives."""


@dataclass(frozen=True, slots=True)
class CopyPart:
    """Copies the pages of one part's links out of archives.

    `archives` are paths of WARC files, or of plain copies of them; `buckets` those of their index.
    """

    settings: PagesSettings
    archives: tuple[str, ...]
    buckets: tuple[str, ...]
    listed: Listed = NOTHING_LISTED
    earlier: Earlier | None = None

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Copy the links that the journal lacks, then publish the journal, as `FetchPart` does."""
        done = self.earlier.done(part.work) if self.earlier else set()
        links = {link.url: link for path in part.work.shards for link in read_links(path) if link.url not in done}
        addresses = part.work.addresses()
        taken_down = self.listed.drops(links)
        journal_path = files.join(writer.phase.work_folder, f"{part.key}.journal")
        with Journal.at(journal_path) as journal, closing(Captures(self.archives, self.buckets)) as captures:
            writer.advance(len(journal.entries))
            missing = [link for url, link in links.items() if url not in journal.entries and url not in taken_down]
            wanted = [(addresses.get(link.url, link.url), link) for link in missing]
            for position in captures.in_order((address, link.submitted_at) for address, link in wanted):
                address, link = wanted[position]
                outcome = archived_outcome(link, captures, address, self.settings.max_redirects, self.settings.kept_types)
                journal.append(*journal_entry(self.listed.outcome(outcome), link))
                writer.advance()
            if self.earlier:
                spill_outcomes(journal, links, writer, self.settings, {}, self.earlier)
            else:
                publish_journal(journal, links, writer, self.settings.warc_bytes, {}, taken_down)


def copy_from_archives(
    call: Call[PagesSettings], phase: PhaseFolder, earlier: Earlier | None = None
) -> tuple[CopyPart, dict[str, int]]:
    """The work of a part whose pages come from the archives of --fetch-from, which are indexed first; and counts of what was
    skipped.
    """
    index, captures = phase.sibling("index"), phase.sibling("captures")
    paths = archive_files(call.settings.fetch_from)
    buckets = bucket_count(paths)
    parts = numbered(enumerate(paths), lambda work: files.size(work[1]))
    indexed = call.engine.work(index, parts, IndexArchive(buckets), "bytes")
    runs = shuffle.run_paths(index, SPILL, indexed)
    sorting = shuffle.gather(phase, "captures", SPILL, runs, buckets, call.engine.work)
    receipts = call.engine.work(captures, sorting, SortCaptures(), "buckets")
    skipped = Counter({SKIPPED_FILES: skipped_files(call.settings.fetch_from)})
    for path, receipt in zip(paths, indexed, strict=True):
        if bad := receipt.counters.get(BAD_RECORDS, 0):
            logger.warning("%s: %s bad records skipped", path, f"{bad:,}")
            skipped[BAD_RECORDS] += bad
    sources = tuple(_plain_copy(receipt, index) or path for path, receipt in zip(paths, indexed, strict=True))
    sorted_captures = tuple(shuffle.run_paths(captures, SORTED, receipts))
    return CopyPart(call.settings, sources, sorted_captures, Listed.of(call.settings.takedown), earlier), dict(+skipped)


def _plain_copy(receipt: Receipt, phase: PhaseFolder) -> str | None:
    """The plain copy that the index of an archive points into; None where it points into the archive itself."""
    return next((files.join(phase.folder, entry.name) for entry in receipt.files if entry.kind == UNPACKED), None)


def archived_outcome(
    link: Link,
    captures: Captures,
    address: str,
    max_redirects: int = MAX_REDIRECTS,
    kept_types: frozenset[str] = PAGE_TYPES,
) -> FetchOutcome:
    """A link's outcome from the archives, which may name it by its `address`.

    Redirects are followed as far as their targets are archived.
    """
    return _Search(link, captures, max_redirects, kept_types).outcome(address, RedirectChain(), 0)


class _Search:
    """The search for one link's page. No capture is read twice: a redirect to another spelling of its own URL does not go round."""

    def __init__(self, link: Link, captures: Captures, max_redirects: int, kept_types: frozenset[str]) -> None:
        self._link = link
        self._kept_types = kept_types
        self._max_redirects = max_redirects
        self._captures = captures
        self._seen: set[Capture] = set()

    def outcome(self, url: str, chain: RedirectChain, redirects: int) -> DroppedLink | FetchedPage:
        """The outcome of the first capture of a URL that gives one; of the best capture where none does."""
        ranked = self._captures.ranked(url, self._link.submitted_at)
        if not ranked:
            return self._drop(PageDrop.NOT_ARCHIVED, "" if redact(url) == self._link.url else redact(url))
        first: DroppedLink | None = None
        for capture in ranked:
            if capture in self._seen or redirects > self._max_redirects or len(self._seen) == CAPTURES_PER_LINK:
                continue
            self._seen.add(capture)
            outcome = self._read(capture, chain, redirects)
            if isinstance(outcome, FetchedPage):
                return outcome
            first = first or outcome
            if outcome.reason not in FAILURES_OF_RECORDS:
                break
        return first or self._drop(PageDrop.TOO_MANY_REDIRECTS)

    def _read(self, capture: Capture, chain: RedirectChain, redirects: int) -> DroppedLink | FetchedPage:
        """The outcome of one capture; a redirect's is that of its target."""
        try:
            record = self._captures.record(capture)
            date = record.date
            response = self._response(record)
        except ArchivedElsewhereError as error:
            return self._drop(PageDrop.NOT_ARCHIVED, str(error))
        except TruncatedRecordError as error:
            return self._drop(PageDrop.TRUNCATED, str(error))
        except RECORD_FAILURES as error:
            return self._drop(PageDrop.BAD_RECORD, excerpt(f"{error}", 200))
        if response.status in REDIRECT_STATUSES:
            try:
                target = redirect_target(response)
            except ValueError:
                return self._drop(PageDrop.BAD_REDIRECT, excerpt(response.header("location"), 80))
        elif (refreshed := refresh_target(response)) is not None:
            target = refreshed
        else:
            outcome = page_or_drop(self._link.url, response, date, chain, self._kept_types)
            return replace(outcome, origin=self._origin(capture, record)) if isinstance(outcome, FetchedPage) else outcome
        try:
            chain = chain.then(exchange_members(response, date))
        except UnwritableResponseError as error:
            return self._drop(PageDrop.BAD_RESPONSE, excerpt(str(error), 80))
        return self.outcome(target, chain, redirects + 1)

    def _origin(self, capture: Capture, record: WarcRecord) -> Origin:
        """Where the page of a record came from."""
        digest = record.headers.get("warc-payload-digest") or None
        days = distance_days(record.date, self._link.submitted_at)
        return Origin("warc", "", files.base_name(capture.path), capture.offset, digest, record.date, days)

    def _response(self, record: WarcRecord) -> HttpResponse:
        if record.kind == "revisit":
            return revisited(record, self._captures)
        cut = _cut(record)
        if not cut:
            try:
                return http_response(record)
            except TruncatedRecordError as error:
                cut = str(error)
        head = stored_head(record)
        if head is None or 200 <= head.status < 300:
            raise TruncatedRecordError(cut)
        return head

    def _drop(self, reason: PageDrop, detail: str = "") -> DroppedLink:
        return DroppedLink(self._link.url, reason, detail)


def _cut(record: WarcRecord) -> str:
    """How a record's writer says that it holds a part of the payload; empty where it holds the whole."""
    names = ("WARC-Truncated", "WARC-Segment-Number")  # segments (ISO 28500:2017, 7) are not joined
    return excerpt(", ".join(f"{name}: {value}" for name in names if (value := record.headers.get(name.lower()))), 80)


def revisited(record: WarcRecord, captures: Captures) -> HttpResponse:
    """The response that a revisit record stands for (ISO 28500:2017, 6.7): its own head, or the page of the record it refers to.

    That record is of the URL that the revisit refers to, else of its own, else of any URL with the same payload. Raises
    ArchivedElsewhereError where the archives lack it, and the errors of reading it.
    """
    head = stored_head(record)
    if head is not None and head.status != 304 and not 200 <= head.status < 300:
        return head
    url = record.headers.get("warc-refers-to-target-uri", "").strip("<>") or record.url
    stamp = record.headers.get("warc-refers-to-date")
    date = parse_date(stamp) if stamp else record.date
    digest = payload_digest(record.headers)
    wholes = [*captures.ranked(url, date), *(captures.with_payload(digest, date) if digest else ())]
    failure: Exception = ArchivedElsewhereError("a revisit of a record that is not in the archives")
    for capture in [capture for capture in wholes if capture.kind in (WHOLE, OWN_PAGE)][:CAPTURES_PER_LINK]:
        try:
            original = captures.record(capture)
            if _refers_to(record, original):
                return replace(http_response(original), url=record.url)
        except RECORD_FAILURES as error:
            failure = error
    raise failure


def _refers_to(record: WarcRecord, original: WarcRecord) -> bool:
    """Whether a revisit is one of `original`: by the record's id, else by the payload's digest, else by the date."""
    refers, own = record.headers, original.headers
    if refers.get("warc-refers-to") and refers.get("warc-refers-to") == own.get("warc-record-id"):
        return True
    digests = payload_digest(refers), payload_digest(own)
    if all(digests):
        return digests[0] == digests[1]
    if stamp := refers.get("warc-refers-to-date"):
        return parse_date(stamp) == original.date
    return "warc-refers-to" not in refers

"""The sources of pages one after another: each is asked for the links that those before it gave no page of.

Every source's parts publish WARC files and spill outcomes; the last phase writes the index, the drops and the books.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.archives.fetch_records import Store, read_results
from pipeline.archives.held_links import NumberedShare, numbered_links
from pipeline.archives.index_files import find_index_files, is_http
from pipeline.archives.records import DROP, FAILURE, REDIRECT, CaptureResult, best_result, response_of
from pipeline.archives.rounds import Search
from pipeline.archives.wayback import ReplayPart
from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.stage import Call, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.pages.archive_members import member_content
from pipeline.pages.archives import copy_from_archives
from pipeline.pages.fetch import FetchPart
from pipeline.pages.held import HELD, Earlier, Keeper, spill_outcomes
from pipeline.pages.journal import Journal
from pipeline.pages.listed import NOTHING_LISTED, Listed
from pipeline.pages.outcomes import DroppedLink, FetchedPage, Origin, PageDrop, distance_days, page_or_drop
from pipeline.pages.output import journal_entry
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.warc_record import WarcRecord, parse_record
from pipeline.pages.warc_writer import RedirectChain, exchange_members
from pipeline.records import Link, Page
from pipeline.storage import files

FetchParts = Callable[[PhaseFolder, FetchPart, str], list[Receipt]]
"""Fetches the links of all parts from the web, with a part's work; the text ends the keys of the parts."""


@dataclass(frozen=True, slots=True)
class CollectPages:
    """Makes pages of the records that were read for a part's links, in place of asking for them."""

    settings: PagesSettings
    earlier: Earlier
    results: str

    def __call__(self, part: Part[NumberedShare], writer: PartWriter) -> None:
        """Journal each link's outcome, then publish as other sources do."""
        done = self.earlier.done(part.work.share)
        links = dict(numbered_links(part.work.share, part.work.first))
        found: dict[int, list[CaptureResult]] = {}
        for path in shuffle.read_paths(self.results):
            for row in read_results(path, part.work.first, part.work.first + len(links)):
                found.setdefault(row["link"], []).append(row)
        missing = {number: link for number, link in links.items() if link.url not in done}
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal:
            writer.advance(len(links) - len(missing) + len(journal.entries))
            for number, link in missing.items():
                if link.url not in journal.entries:
                    outcome = self.earlier.listed.outcome(self._outcome(link, found.get(number, [])))
                    journal.append(*journal_entry(outcome, link))
                    writer.advance()
            by_url = {link.url: link for link in missing.values()}
            spill_outcomes(journal, by_url, writer, self.settings, {}, self.earlier)

    def _outcome(self, link: Link, rows: Sequence[CaptureResult]) -> FetchedPage | DroppedLink:
        best = best_result(rows)
        if best is None or best["kind"] == REDIRECT:
            detail = f"the redirect's target {best['target']} is not in the index" if best else ""
            return DroppedLink(link.url, PageDrop.NOT_ARCHIVED, detail)
        if best["kind"] in (DROP, FAILURE):
            return DroppedLink(link.url, PageDrop(best["reason"]), best["detail"] or "")
        chain = RedirectChain()
        for row in sorted((row for row in rows if row["kind"] == REDIRECT), key=lambda row: int(row["hop"])):
            record = _record(row)
            chain = chain.then(exchange_members(response_of(record), record.date, source_uri=self._address(row)))
        record = _record(best)
        outcome = page_or_drop(link.url, response_of(record), record.date, chain, self.settings.kept_types)
        if isinstance(outcome, DroppedLink):
            return outcome
        days = distance_days(record.date, link.submitted_at)
        origin = Origin(
            *("commoncrawl", self._address(best), best["warc"], best["offset"], best["digest"], best["fetched_at"], days)
        )
        return replace(outcome, origin=origin)

    def _address(self, row: CaptureResult) -> str:
        """The address of a record's WARC file; of a local folder only the file's name, since paths tell of the machine."""
        path = Store(self.settings.commoncrawl, None).path(row["warc"])  # type: ignore[arg-type]  # names need no client
        return path if "://" in path else row["warc"]


def _record(row: CaptureResult) -> WarcRecord:
    return parse_record(member_content(row["member"], io.BytesIO()), row["offset"], row["length"])


@dataclass(frozen=True, slots=True)
class PublishOutcomes:
    """Writes the index of a part's pages, its drops, and its books, from what all sources gave."""

    earlier: Earlier

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Every link is a page or a drop. A link that no source has an outcome of had its address removed."""
        links, _ = part.work.read()
        outcomes = self.earlier.outcomes(part.work)
        pages: list[Page] = []
        for url in sorted(links):
            outcome = outcomes.get(url) or DroppedLink(url, PageDrop.CREDENTIALS_REMOVED)
            if isinstance(outcome, Page):
                pages.append(outcome)
            else:
                writer.drop(outcome.drop(writer.phase.stage))
        writer.items_in, writer.items_out = len(links), len(pages)
        writer.counters["body_bytes"] = sum(page.body_bytes for page in pages)
        writer.publish_table("pages", Page.table(pages))


@dataclass
class Chain:
    """The run of all sources. `fetch_all` asks the web. `listed` is asked of no source.

    Of an update, `suffix` ends the parts' keys, and `reuse` is what holds.
    """

    call: Call[PagesSettings]
    phase: PhaseFolder
    parts: list[Part[Share]]
    buckets: int
    fetch_all: FetchParts
    suffix: str = ""
    reuse: Keeper | None = None
    listed: Listed = NOTHING_LISTED
    counters: dict[str, int] = field(default_factory=dict)

    def run(self) -> StageResult:
        """Ask each source in turn, then publish."""
        receipts: list[Receipt] = []
        spilled: list[str] = []
        for source in self.call.settings.sources:
            done = _SOURCES[source](self, self._earlier(source, spilled))
            receipts += done
            spilled += [
                files.join(self.phase.folder, entry.name) for receipt in done for entry in receipt.files if entry.kind == HELD
            ]
        last = self.call.engine.work(self.phase, self.parts, PublishOutcomes(self._earlier("main", spilled)), "links")
        return StageResult([*receipts, *last], counters=self.counters)

    def _earlier(self, reader: str, spilled: list[str]) -> Earlier:
        if not spilled:
            return Earlier("", self.buckets, self.reuse, self.listed)
        listing = files.join(self._phase(reader).work_folder, f"before-{reader}.list")
        return Earlier(shuffle.write_paths(listing, spilled), self.buckets, self.reuse, self.listed)

    def _phase(self, name: str) -> PhaseFolder:
        """The folder of a source's phase: an update has its own."""
        return self.phase.sibling(name if self.phase.name == "main" else f"{self.phase.name}-{name}")

    def _named(self, source: str) -> list[Part[Share]]:
        return [Part(f"{part.key}-{source}", part.work, part.items) for part in self.parts]

    def live(self, earlier: Earlier) -> list[Receipt]:
        """Ask the web."""
        work = FetchPart(self.call.settings, listed=self.listed, earlier=earlier)
        return self.fetch_all(self._phase("live"), work, f"{self.suffix}-live")

    def warc(self, earlier: Earlier) -> list[Receipt]:
        """Copy from WARC files."""
        copy, skipped = copy_from_archives(self.call, self.phase, earlier)
        self.counters |= skipped
        return self.call.engine.work(self._phase("warc"), self._named("warc"), copy, "links")

    def wayback(self, earlier: Earlier) -> list[Receipt]:
        """Ask an archive link by link."""
        work = ReplayPart(self.call.settings, self._access("wayback"), earlier)
        return self.call.engine.work(self._phase("wayback"), self._named("wayback"), work, "links")

    def commoncrawl(self, earlier: Earlier) -> list[Receipt]:
        """Search an index, read the records."""
        settings, access = self.call.settings, self._access("commoncrawl")
        numbered: list[Part[Any]] = []
        first = 0
        for part in self.parts:
            numbered.append(Part(f"{part.key}-commoncrawl", NumberedShare(part.work, first, earlier), part.items))
            first += part.items
        with access.service() as service:
            base = settings.commoncrawl if is_http(settings.commoncrawl) else ""
            index = find_index_files(settings.archive_index, base, service)
        results = Search(self.call.engine, self.phase, settings, index, access, numbered).run()
        phase = self._phase("commoncrawl")
        listing = shuffle.write_paths(files.join(phase.work_folder, "results.list"), results)
        return self.call.engine.work(phase, numbered, CollectPages(settings, earlier, listing), "links")

    def _access(self, source: str) -> Any:
        return self.call.settings.access(source, files.join(self.phase.work_folder.rpartition("/")[0]))


_SOURCES: dict[str, Callable[[Chain, Earlier], list[Receipt]]] = {
    "live": Chain.live,
    "warc": Chain.warc,
    "wayback": Chain.wayback,
    "commoncrawl": Chain.commoncrawl,
}

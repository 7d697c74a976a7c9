"""Archives that answer one link at a time: by the CDX server API (Internet Archive, pywb, arquivo.pt) or by Memento (RFC 7089)."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, urljoin

import numpy as np

from pipeline.archives.cdxj import instant_of
from pipeline.archives.choose import (
    CAPTURE,
    CAPTURES_PER_LINK,
    INEXACT,
    OUTSIDE,
    CaptureRows,
    microseconds,
    ranked,
    refusal,
)
from pipeline.archives.held_links import NumberedShare, missing_links
from pipeline.archives.lookups import NO_INSTANT
from pipeline.archives.matching import page_hash
from pipeline.archives.records import FAILURES, RecordError, digest_text, target_of
from pipeline.archives.replay import (
    AnswerError,
    ServerCapture,
    captured_url,
    linked_memento,
    memento_datetime,
    parse_cdx,
    raw_url,
    replay_target,
    restored,
)
from pipeline.archives.service import Access, ArchiveService, RefusedError
from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.pages.held import Earlier, spill_outcomes
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import (
    REDIRECT_STATUSES,
    DroppedLink,
    FetchedPage,
    Origin,
    PageDrop,
    distance_days,
    page_or_drop,
)
from pipeline.pages.output import journal_entry
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.pages.warc_reader import RECORD_FAILURES
from pipeline.pages.warc_writer import RedirectChain, UnwritableResponseError, exchange_members
from pipeline.records import Link
from pipeline.redaction import excerpt
from pipeline.storage import files

CAPTURES_ASKED = 1_000
REPLAY_REDIRECTS = 5
REQUESTS = "wayback_requests"


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """Asks an archive for each of a part's links that has no page yet. A journal keeps each link's outcome over crashes."""

    settings: PagesSettings
    access: Access
    earlier: Earlier

    def __call__(self, part: Part[Share], writer: PartWriter) -> None:
        """Ask for the links that the journal lacks, then spill the outcomes."""
        wanted = {link.url: (link, address) for _, link, address in missing_links(NumberedShare(part.work, 0, self.earlier))}
        links = {url: link for url, (link, _) in wanted.items()}
        with Journal.at(files.join(writer.phase.work_folder, f"{part.key}.journal")) as journal, self.access.service() as service:
            writer.advance(part.items - len(links) + len(journal.entries))
            for url, (link, address) in wanted.items():
                if url not in journal.entries:
                    outcome = self.earlier.listed.outcome(ReplaySearch(service, self.settings, link).outcome(address))
                    journal.append(*journal_entry(outcome, link))
                    writer.advance()
            writer.timings[REQUESTS] += service.requests
            spill_outcomes(journal, links, writer, self.settings, {}, self.earlier)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A capture to read: its address, its time as the archive's index has it, and its payload's SHA-1, or none."""

    address: str
    url: str
    captured_at: datetime
    digest: bytes


class ReplaySearch:
    """The search for one link's page. No capture is read twice."""

    def __init__(self, service: ArchiveService, settings: PagesSettings, link: Link) -> None:
        self._service, self._settings, self._link = service, settings, link
        self._window = settings.window
        instant = self._window.instant(link.submitted_at)
        self._instant = instant
        self._at = NO_INSTANT if instant is None else microseconds(instant)
        self._low, self._high = (-NO_INSTANT, NO_INSTANT) if instant is None else self._window.bounds(self._at)
        self._seen: set[str] = set()

    def outcome(self, url: str, chain: RedirectChain | None = None, redirects: int = 0) -> FetchedPage | DroppedLink:
        """The outcome of the nearest capture of a URL that can be read; a redirect's is that of its target."""
        try:
            candidates = self._by_timegate(url) if self._settings.timegate else self._by_cdx(url)
            if isinstance(candidates, DroppedLink):
                return candidates
            outcome: FetchedPage | DroppedLink | None = None
            for candidate in [one for one in candidates if one.address not in self._seen][:CAPTURES_PER_LINK]:
                self._seen.add(candidate.address)
                outcome = self._read(candidate, chain or RedirectChain(), redirects)
                if isinstance(outcome, FetchedPage) or outcome.reason not in FAILURES | {PageDrop.OUTSIDE_WINDOW}:
                    return outcome
        except (RefusedError, AnswerError) as error:
            return self._drop(PageDrop.ARCHIVE_REFUSED, str(error))
        return outcome or self._drop(PageDrop.NOT_ARCHIVED)

    def _by_cdx(self, url: str) -> list[_Candidate] | DroppedLink:
        """The captures of a URL that the CDX server names, the one to take first."""
        asked = f"{self._settings.wayback_cdx}?url={quote(url, safe='')}&output=json&limit={CAPTURES_ASKED}"
        if self._instant is not None:
            asked += f"&sort=closest&closest={self._instant:%Y%m%d%H%M%S}"
        answer = self._service.get(asked, empty=False)
        if answer.status == 404 and answer.body.lstrip().startswith(b"{"):  # pywb's answer where there is none
            return self._drop(PageDrop.NOT_ARCHIVED)
        if answer.status != 200:
            raise RefusedError(f"{answer.status} {answer.phrase} of the CDX server")
        page = page_hash(url)
        captures = [one for one in parse_cdx(answer.body) if page_hash(one.url) == page]
        rows = self._rows(captures, url)
        best = ranked(rows)
        if not len(best):
            return self._drop(*refusal(rows))
        chosen = [captures[int(row["offset"])] for row in best]
        base = self._settings.wayback
        return [_Candidate(f"{base}{c.stamp}id_/{c.url}", c.url, c.captured_at, c.digest) for c in chosen]

    def _rows(self, captures: list[ServerCapture], url: str) -> CaptureRows:
        """CaptureRows as rows of CAPTURE whose `offset` is their position."""
        rows = np.zeros(len(captures), CAPTURE)
        for i, capture in enumerate(captures):
            time = microseconds(capture.captured_at)
            flags = (0 if capture.url == url else INEXACT) | (0 if self._low <= time <= self._high else OUTSIDE)
            status = 200 if capture.is_revisit and not capture.status else capture.status
            rows[i] = (0, time, time - self._at, 0, 0, i, 1, capture.digest, status, flags)
        return rows

    def _by_timegate(self, url: str) -> list[_Candidate] | DroppedLink:
        """The capture to which the TimeGate sends."""
        at = self._instant or datetime.now(UTC)
        asked = f"{self._settings.timegate}{url}"
        answer = self._service.get(asked, {"Accept-Datetime": format_datetime(at.astimezone(UTC), usegmt=True)})
        if answer.status == 404:
            return self._drop(PageDrop.NOT_ARCHIVED)
        linked = linked_memento(answer)
        if answer.status in REDIRECT_STATUSES:
            address = urljoin(asked, answer.header("location"))
        elif answer.header("content-location"):
            address = urljoin(asked, answer.header("content-location"))
        else:
            address = linked[0] if linked else asked
        found = captured_url(address)
        captured_at = memento_datetime(answer) or (linked[1] if linked else None) or (parse_stamp(found[0]) if found else None)
        if captured_at is None:
            raise RefusedError(f"{answer.status} of the TimeGate without a Memento-Datetime")
        if self._is_outside(captured_at):
            return self._drop(PageDrop.OUTSIDE_WINDOW, self._far(captured_at))
        return [_Candidate(raw_url(address), found[1] if found else url, captured_at, b"")]

    def _read(self, candidate: _Candidate, chain: RedirectChain, redirects: int) -> FetchedPage | DroppedLink:
        """The outcome of one capture."""
        answer = self._replayed(candidate.address)
        if answer.status == 404 and memento_datetime(answer) is None:
            return self._drop(PageDrop.ARCHIVE_GONE, "the archive does not replay the capture")
        found = captured_url(answer.url)
        captured_at = memento_datetime(answer) or (parse_stamp(found[0]) if found else None) or candidate.captured_at
        if self._is_outside(captured_at):  # an archive may replay another capture: the day that comes back counts
            return self._drop(PageDrop.OUTSIDE_WINDOW, self._far(captured_at))
        url = found[1] if found else candidate.url
        try:
            response = restored(answer, candidate.url if page_hash(url) == page_hash(candidate.url) else url)
            target = target_of(response)
            if target is not None:
                return self._follow(response, captured_at, answer.url, chain, target, redirects)
        except RecordError as error:
            return self._drop(error.reason, str(error))
        except UnwritableResponseError as error:
            return self._drop(PageDrop.BAD_RESPONSE, excerpt(str(error), 80))
        except RECORD_FAILURES as error:
            return self._drop(PageDrop.BAD_RECORD, excerpt(str(error), 160))
        outcome = page_or_drop(self._link.url, response, captured_at, chain, self._settings.kept_types)
        if isinstance(outcome, DroppedLink):
            return outcome
        return replace(outcome, origin=self._origin(answer.url, response, captured_at, candidate.digest))

    def _follow(
        self, response: HttpResponse, captured_at: datetime, uri: str, chain: RedirectChain, target: str, redirects: int
    ) -> FetchedPage | DroppedLink:
        if redirects >= self._settings.max_redirects:
            return self._drop(PageDrop.TOO_MANY_REDIRECTS, f"more than {self._settings.max_redirects}")
        chain = chain.then(exchange_members(response, captured_at, source_uri=uri))
        return self.outcome(target, chain, redirects + 1)

    def _replayed(self, address: str) -> HttpResponse:
        """The replay of a capture, after redirects to other captures of it. Raises RefusedError."""
        for _ in range(REPLAY_REDIRECTS):
            answer = self._service.get(address, empty=False)
            if answer.status not in REDIRECT_STATUSES or (target := replay_target(answer)) is None:
                return answer
            address = raw_url(target)
        raise RefusedError(f"more than {REPLAY_REDIRECTS} redirects between captures")

    def _origin(self, uri: str, response: HttpResponse, captured_at: datetime, digest: bytes) -> Origin:
        own = hashlib.sha1(response.payload, usedforsecurity=False).digest()
        days = distance_days(captured_at, self._link.submitted_at)
        return Origin("wayback", uri, uri, None, digest_text(digest or own), self._settings.now(), days)

    def _is_outside(self, captured_at: datetime) -> bool:
        return not self._low <= microseconds(captured_at) <= self._high

    def _far(self, captured_at: datetime) -> str:
        days = abs(microseconds(captured_at) - self._at) / 86_400e6
        return f"the nearest capture is {days:,.1f} days away"

    def _drop(self, reason: PageDrop, detail: str = "") -> DroppedLink:
        return DroppedLink(self._link.url, reason, detail)


def parse_stamp(stamp: str) -> datetime | None:
    """The instant of a timestamp in an address; None where it is none."""
    try:
        return instant_of(stamp)
    except ValueError:
        return None

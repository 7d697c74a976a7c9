"""Common Crawl, or any archive with an index: links' captures looked up, chosen and read, in rounds of redirects and attempts."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.archives.choose import (
    CAPTURE,
    CAPTURES_PER_LINK,
    CaptureRows,
    Window,
    best_of_each,
    first_of_each,
    ranked,
    refusal,
)
from pipeline.archives.fetch_records import MOVED, FetchRecords, FetchWork, read_results
from pipeline.archives.held_links import NumberedShare, links_by_number, missing_links
from pipeline.archives.index_files import IndexFile
from pipeline.archives.lookups import LOOKUPS, SortLookups, buckets, lookup_row, lookup_table
from pipeline.archives.match import CAPTURES, NAMES, IndexWork, MatchIndex
from pipeline.archives.records import DROP, FAILURE, RESULT, RESULTS, result
from pipeline.archives.service import Access
from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.shuffle import RunSlices
from pipeline.engine.writer import PartWriter
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.storage import files

LINKS_PER_BUCKET = 200_000
LINKS_PER_FETCH = 20_000
LINKS_ON_THREADS = 100_000
"""Fewer lookups are sorted on threads: a pipeline's start costs more."""
RANKED, CHOSEN = "ranked", "chosen"


@dataclass(frozen=True, slots=True)
class LookUpLinks:
    """Spills the lookups of a part's links, sorted by key, but for those that have a page already."""

    window: Window

    def __call__(self, part: Part[NumberedShare], writer: PartWriter) -> None:
        """Make one lookup per link."""
        rows = []
        for number, link, address in missing_links(part.work):
            if row := lookup_row(address, number, link, self.window):
                rows.append(row)
        writer.advance(part.items)
        writer.spill_table(LOOKUPS, lookup_table(rows))


@dataclass(frozen=True, slots=True)
class LinkRange:
    """The captures, or the failures, of the links of one bucket, `first` to `last` (excluded)."""

    slices: RunSlices | None
    first: int
    last: int
    ranked: str = ""
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChooseCaptures:
    """Chooses each link's capture: at first the nearest, then the next of those whose capture failed."""

    hop: int
    attempt: int
    warc_buckets: int

    def __call__(self, part: Part[LinkRange], writer: PartWriter) -> None:
        """Spill the captures to read by WARC file, and the links that have none to read."""
        work = part.work
        settled = []
        if work.slices is not None:
            found = shuffle.entries(work.slices, CAPTURE)
            best = best_of_each(ranked(found))
            settled = self._refused(found, best)
            writer.publish(RANKED, len(best), lambda f: np.save(f, best), writer.spill_name(f"{RANKED}-{writer.key}.npy"))
        else:
            best = _of_failed(work)
        chosen = first_of_each(best, self.attempt)
        writer.advance()
        shuffle.write_run(
            writer,
            f"{CHOSEN}-{self.hop}-{self.attempt}",
            chosen,
            (chosen["warc"] % np.uint64(self.warc_buckets)).astype(np.int64),
            self.warc_buckets,
        )
        writer.counters[CHOSEN] = len(chosen)
        writer.spill_table(RESULTS, pa.Table.from_pylist(settled, schema=RESULT))

    def _refused(self, found: CaptureRows, best: CaptureRows) -> list[dict[str, Any]]:
        """Results of the links that have captures, but none to read."""
        rest = found[~np.isin(found["link"], best["link"])]
        rest = rest[np.argsort(rest["link"], kind="stable")]
        groups = np.split(rest, np.flatnonzero(np.diff(rest["link"])) + 1) if len(rest) else []
        return [result(int(group["link"][0]), self.hop, 0, DROP, *refusal(group)) for group in groups]


def _of_failed(work: LinkRange) -> CaptureRows:
    """The ranked captures of a bucket's links whose last attempt failed."""
    captures: CaptureRows = np.load(io.BytesIO(files.read_bytes(work.ranked)))
    failed = {
        row["link"]
        for path in work.failures
        for row in read_results(path, work.first, work.last, ["link", "kind"])
        if row["kind"] == FAILURE
    }
    chosen: CaptureRows = captures[np.isin(captures["link"], np.array(sorted(failed), np.int64))]
    return chosen


@dataclass(frozen=True, slots=True)
class LookUpRedirects:
    """Spills the lookups of redirects' targets that one part of a round found."""

    window: Window
    shares: tuple[tuple[int, Share], ...]

    def __call__(self, part: Part[tuple[str, ...]], writer: PartWriter) -> None:
        """Read the links' dates again: a redirect names its link by number alone."""
        moved = pa.concat_tables([files.read_table(path) for path in part.work]).to_pylist()
        links = links_by_number(self.shares, {row["link"] for row in moved})
        rows = [lookup_row(row["target"], row["link"], links[row["link"]], self.window, row["tried"]) for row in moved]
        writer.advance()
        writer.spill_table(LOOKUPS, lookup_table(filter(None, rows)))


@dataclass
class Search:
    """The search of an index for the captures of numbered links, and the reading of those captures.

    `results` are the files of RESULT that the rounds have spilled, each sorted by link.
    """

    engine: Engine
    phase: PhaseFolder
    settings: PagesSettings
    index: Sequence[IndexFile]
    access: Access
    shares: Sequence[Part[NumberedShare]]

    def __post_init__(self) -> None:
        self.results: list[str] = []
        self.receipts: list[Receipt] = []
        self._links = sum(part.items for part in self.shares)
        self.link_buckets = 1 + self._links // LINKS_PER_BUCKET
        self._warc_buckets = min(256, 1 + self._links // LINKS_PER_FETCH)

    def run(self) -> list[str]:
        """Look up, choose and read; follow redirects within the archive. Returns `results`."""
        paths, rows = self.look_up()
        for hop in range(self.settings.max_redirects + 1):
            if not rows:
                break
            moved = self._round(hop, paths, rows)
            if not moved or hop == self.settings.max_redirects:
                break
            looking = self._phase("lookups", hop + 1)
            shares = tuple((part.work.first, part.work.share) for part in self.shares)
            work = LookUpRedirects(self.settings.window, shares)
            receipts = self.engine.work(looking, numbered([tuple(moved)]), work, "redirects", light=True)
            paths, rows = shuffle.run_paths(looking, LOOKUPS, receipts), sum(_rows(receipt, LOOKUPS) for receipt in receipts)
        return self.results

    def _phase(self, name: str, hop: int, attempt: int | None = None) -> PhaseFolder:
        first = "" if self.phase.name == "main" else f"{self.phase.name}-"
        return self.phase.sibling(f"{first}cc-{name}-{hop}" + ("" if attempt is None else f"-{attempt}"))

    def _round(self, hop: int, paths: list[str], rows: int) -> list[str]:
        """One round: join, choose, read. Returns the files of redirects."""
        matching, matched = self.match(hop, paths, rows)
        captures = self._gather(self._phase("choose", hop), f"{CAPTURES}-{hop}", matching, matched, self.link_buckets)
        names = self._gather(self._phase("fetch", hop), f"{NAMES}-{hop}", matching, matched, self._warc_buckets)
        moved: list[str] = []
        ranked_paths: list[str] = []
        failures: tuple[str, ...] = ()
        for attempt in range(CAPTURES_PER_LINK):
            choosing, reading = self._phase("choose", hop, attempt), self._phase("fetch", hop, attempt)
            choices = self._buckets(captures if attempt == 0 else None, ranked_paths, failures)
            receipts = self.engine.work(
                choosing, numbered(choices), ChooseCaptures(hop, attempt, self._warc_buckets), "buckets", light=True
            )
            self.results += shuffle.run_paths(choosing, RESULTS, receipts)
            if attempt == 0:
                ranked_paths = shuffle.run_paths(choosing, RANKED, receipts)
            if not (wanted := sum(receipt.counters.get(CHOSEN, 0) for receipt in receipts)):
                break
            chosen = self._gather(reading, f"{CHOSEN}-{hop}-{attempt}", choosing, receipts, self._warc_buckets)
            works = [FetchWork(part.work, name.work) for part, name in zip(chosen, names, strict=True)]
            parts = [replace(part, items=max(1, wanted // len(works))) for part in numbered(works)]
            read = self.engine.work(
                reading, parts, FetchRecords(self.settings, self.access, self.settings.commoncrawl, hop, attempt), "records"
            )
            self.receipts += read
            fetched = shuffle.run_paths(reading, RESULTS, read)
            self.results += fetched
            failures = tuple(fetched)
            moved += [
                files.join(reading.folder, entry.name) for r in read for entry in r.files if entry.kind == MOVED and entry.rows
            ]
        return moved

    def match(self, hop: int, paths: list[str], rows: int) -> tuple[PhaseFolder, list[Receipt]]:
        """Join lookups with the index: the receipts of its files, in their order."""
        sorting, matching = self._phase("sorted", hop), self._phase("match", hop)
        listing = files.join(sorting.work_folder, "lookups.list")
        ranges = numbered(buckets(paths, listing, rows))
        merged = self.engine.work(sorting, ranges, SortLookups(), "buckets", light=rows < LINKS_ON_THREADS)
        sorted_paths = shuffle.run_paths(sorting, LOOKUPS, merged)
        listed = shuffle.write_paths(files.join(matching.work_folder, "sorted.list"), sorted_paths)
        work = MatchIndex(self.access, hop, LINKS_PER_BUCKET, self.link_buckets, self._warc_buckets)
        receipts = self.engine.work(matching, numbered(IndexWork(entry, listed) for entry in self.index), work, "index files")
        self.receipts += receipts
        return matching, receipts

    def look_up(self) -> tuple[list[str], int]:
        """The files of the links' lookups, and the number of lookups in them."""
        looking = self._phase("lookups", 0)
        receipts = self.engine.work(looking, list(self.shares), LookUpLinks(self.settings.window), "links")
        return shuffle.run_paths(looking, LOOKUPS, receipts), sum(_rows(receipt, LOOKUPS) for receipt in receipts)

    def _gather(
        self, reader: PhaseFolder, kind: str, phase: PhaseFolder, receipts: list[Receipt], destinations: int
    ) -> list[Part[RunSlices]]:
        runs = shuffle.run_paths(phase, kind, receipts)
        return shuffle.gather(reader, reader.name, kind, runs, destinations, self.engine.work)

    def _buckets(
        self, captures: list[Part[RunSlices]] | None, ranked_paths: list[str], failures: tuple[str, ...]
    ) -> list[LinkRange]:
        return [
            LinkRange(
                captures[i].work if captures else None,
                i * LINKS_PER_BUCKET,
                (i + 1) * LINKS_PER_BUCKET,
                ranked_paths[i] if ranked_paths else "",
                failures,
            )
            for i in range(self.link_buckets)
        ]


def _rows(receipt: Receipt, kind: str) -> int:
    return sum(entry.rows for entry in receipt.files if entry.kind == kind)

"""What a pages folder holds of its links: pages and drops, spilled by the buckets of the links' hosts, for a crawl that reuses them.

A finished folder holds them in its indexes and drops, an unfinished one also in the journals of its parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.pages.crawl import CrawlRequest
from pipeline.pages.journal import Journal
from pipeline.pages.journal_heads import head_of
from pipeline.pages.listed import NOTHING_LISTED, Listed
from pipeline.pages.outcomes import DroppedLink, PageDrop
from pipeline.pages.output import publish_moved, publish_pages
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, bucket_of
from pipeline.records import Drop, Link, Page
from pipeline.storage import files
from pipeline.storage.manifest import FileEntry

HELD = "held"
PAGES, DROPS, JOURNAL, WARC = "pages", "drops", "journal", "warc"
HELD_SCHEMA = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        *(pa.field(column.name, column.type) for column in Page.SCHEMA),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
_JOURNAL = ".journal"


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file with outcomes of links: an index of pages, a table of drops, or a journal."""

    kind: str
    path: str


def held_by(folder: str, entries: Sequence[FileEntry]) -> list[HeldFile]:
    """The files with outcomes among published ones."""
    return [HeldFile(entry.kind, files.join(folder, entry.name)) for entry in entries if entry.kind in (PAGES, DROPS)]


def unfinished(phase: PhaseFolder, names: Sequence[str]) -> tuple[list[HeldFile], list[FileEntry]]:
    """The files with outcomes that an unfinished crawl left, and all of its published files. `names` are its phases."""
    held: list[HeldFile] = []
    published: list[FileEntry] = []
    for name in names:
        one = phase.sibling(name)
        paths = files.listing(one.work_folder)
        done = {path.removesuffix(".receipt.json") for path in paths if path.endswith(".receipt.json")}
        for key in sorted(done):
            published += Receipt.load(one, files.base_name(key)).files
        journals = sorted({path.partition(_JOURNAL)[0] for path in paths if _JOURNAL in files.base_name(path)} - done)
        held += [HeldFile(JOURNAL, path + _JOURNAL) for path in journals]
    return held_by(phase.folder, published) + held, published


@dataclass(frozen=True, slots=True)
class SpillHeld:
    """Work that spills the outcomes of one file, sorted by bucket. The pages of a journal become a WARC file."""

    settings: PagesSettings
    buckets: int

    def __call__(self, part: Part[HeldFile], writer: PartWriter) -> None:
        """Spill the table."""
        rows = sorted(self._rows(part.work, writer), key=lambda row: row["bucket"])
        writer.advance()
        writer.spill_table(HELD, pa.Table.from_pylist(rows, schema=HELD_SCHEMA))

    def _rows(self, source: HeldFile, writer: PartWriter) -> Iterator[dict[str, Any]]:
        if source.kind == JOURNAL:
            yield from self._journal_rows(source.path, writer)
            return
        for batch in files.record_batches(source.path):
            for row in batch.to_pylist():
                yield self._row(row) if source.kind == PAGES else self._row(_drop_row(Drop.from_row(row)))

    def _journal_rows(self, path: str, writer: PartWriter) -> Iterator[dict[str, Any]]:
        with Journal.at(path) as journal:
            heads = {url: head_of(journal, url) for url in sorted(journal.entries)}
            fetched = {url: _bare_link(url) for url, head in heads.items() if "final_url" in head}
            for page in publish_pages(list(fetched), journal, fetched, writer, self.settings.warc_bytes, self.settings.about):
                yield self._row(page.row())
            for url, head in heads.items():
                if "reason" in head:
                    yield self._row({"url": url, "reason": head["reason"], "detail": head["detail"]})

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "bucket": bucket_of(row["url"], self.buckets)}


class Keeper(Protocol):
    """What of an earlier run holds (`pipeline.pages.reuse.Reuse`)."""

    def kept(
        self, share: Share, links: Mapping[str, Link], requests: Mapping[str, CrawlRequest], /
    ) -> dict[str, Page | DroppedLink]:
        """The outcomes that hold for a share's links, by URL."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The outcomes that the sources before gave: `listing` names their files, in the order of the sources; empty for the first.

    `buckets` is the number of buckets of hosts, by which outcomes are sorted; `reuse` the outcomes of an earlier run that hold;
    `listed` what no source may be asked for.
    """

    listing: str
    buckets: int
    reuse: Keeper | None = None
    listed: Listed = NOTHING_LISTED

    def outcomes(self, share: Share) -> dict[str, Page | DroppedLink]:
        """The outcome of each of the share's links, by URL: its page, else its last drop, which names the reasons before it.

        A link that led a source to a listed page is dropped for that, whatever other sources have.
        """
        found = self._kept(share)
        final = set(found)
        reasons: dict[str, list[str]] = {}
        for outcome in read_held(self.listing, share.first, share.last) if self.listing else ():
            if outcome.url in final or _is_final(found.get(outcome.url)):
                continue
            found[outcome.url] = outcome
            if isinstance(outcome, DroppedLink):
                reasons.setdefault(outcome.url, []).append(str(outcome.reason))
        return {url: _with_reasons(outcome, reasons.get(url, [])) for url, outcome in found.items()}

    def done(self, share: Share) -> set[str]:
        """The URLs of the share's links that are asked no more: they have a page, lead to a listed one, or an outcome holds."""
        return {url for url, outcome in self.outcomes(share).items() if _is_final(outcome)} | self._kept(share).keys()

    def _kept(self, share: Share) -> dict[str, Page | DroppedLink]:
        if not self.reuse and not self.listed:
            return {}
        links, requests = share.read()
        held = self.reuse.kept(share, links, requests) if self.reuse else {}
        return {url: self.listed.held(outcome) for url, outcome in held.items()} | self.listed.drops(links)


def _is_final(outcome: Page | DroppedLink | None) -> bool:
    return isinstance(outcome, Page) or (outcome is not None and outcome.reason is PageDrop.TAKEN_DOWN)


def _with_reasons(outcome: Page | DroppedLink, reasons: list[str]) -> Page | DroppedLink:
    if isinstance(outcome, Page) or len(reasons) < 2:
        return outcome
    before = f"before: {', '.join(reasons[:-1])}"
    return replace(outcome, detail=f"{outcome.detail}; {before}" if outcome.detail else before)


def spill_outcomes(
    journal: Journal, links: dict[str, Link], writer: PartWriter, settings: PagesSettings, about: dict[str, str], earlier: Earlier
) -> None:
    """Spill the outcomes of a part's links for the sources after it, and publish its pages' WARC files; no index, no books.

    Links that were redirected to other parts' hosts are published for those, as `publish_journal` does.
    """
    heads = {url: head_of(journal, url) for url in sorted(links) if url in journal.entries}
    fetched = [url for url, head in heads.items() if "final_url" in head]
    publish_moved([url for url, head in heads.items() if "target" in head], journal, links, writer)
    rows: list[dict[str, Any]] = [
        page.row() for page in publish_pages(fetched, journal, links, writer, settings.warc_bytes, about)
    ]
    rows += [{"url": url, "reason": head["reason"], "detail": head["detail"]} for url, head in heads.items() if "reason" in head]
    rows = [{**row, "bucket": bucket_of(row["url"], earlier.buckets)} for row in rows]
    rows.sort(key=lambda row: (row["bucket"], row["url"]))
    writer.spill_table(HELD, pa.Table.from_pylist(rows, schema=HELD_SCHEMA))


def _drop_row(drop: Drop) -> dict[str, Any]:
    return {"url": drop.item, "reason": str(drop.reason), "detail": drop.detail}


def _bare_link(url: str) -> Link:
    """A link without its submissions: those that reuse its page take them from the present links."""
    return Link(url, "", "", 0, None, ())


def read_held(listing: str, first: int, last: int) -> Iterator[Page | DroppedLink]:
    """The outcomes held of the links whose hosts lie in the buckets `first` to `last` (excluded)."""
    for path in shuffle.read_paths(listing):
        table = files.read_table(path)
        start, stop = np.searchsorted(table.column("bucket").to_numpy(), (first, last))
        for row in table.slice(start, stop - start).drop_columns("bucket").to_pylist():
            reason, detail = row.pop("reason"), row.pop("detail")
            yield DroppedLink(row["url"], PageDrop(reason), detail or "") if reason else Page.from_row(row)

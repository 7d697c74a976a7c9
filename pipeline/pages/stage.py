"""`pipeline pages`: links to pages in WARC files."""

from dataclasses import replace
from typing import Any

from pipeline.engine import shuffle
from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.pages.archives import SORTED, SPILL, IndexArchive, SortCaptures, TakePart, archive_files, bucket_count
from pipeline.pages.crawl import MAX_REDIRECTS
from pipeline.pages.fetch import FetchPart
from pipeline.pages.output import MOVED
from pipeline.pages.settings import PagesSettings, check_reachable
from pipeline.pages.share import Share, shares
from pipeline.storage import files
from pipeline.storage.manifest import Input, file_input, load_stage

LINKS_A_PART = 20_000
"""Few, large parts: many hosts side by side are what keeps one slow host from holding up the rest."""

ARCHIVED_LINKS_A_PART, ARCHIVED_PARTS = 1_000, 16
"""Archives have no slow hosts: so many parts, for workers to share, of so many links at least."""


def work(call: Call[PagesSettings], place: PhaseFolder) -> StageResult:
    """From the web: each part asks its own hosts, then the redirects to other parts' hosts go round. From archives: see there."""
    folder = call.inputs["links"]
    shards = [(files.join(folder, e.name), e.rows) for e in load_stage(folder, "links").of_kind("links")]
    dealt = shares(shards, _links_a_part(call.settings, sum(rows for _, rows in shards)))
    parts = [Part(f"{i:05d}-of-{len(dealt):05d}", share, links) for i, (share, links) in enumerate(dealt)]
    if call.settings.fetch_from:
        return StageResult(call.engine.work(place, parts, _archived(call, place), "links"))
    check_reachable(call.settings)
    receipts = call.engine.work(place, parts, FetchPart(call.settings), "links")
    return StageResult([*receipts, *_redirected(call, place, parts, receipts)])


def _links_a_part(settings: PagesSettings, links: int) -> int:
    return min(LINKS_A_PART, max(ARCHIVED_LINKS_A_PART, links // ARCHIVED_PARTS)) if settings.fetch_from else LINKS_A_PART


def _redirected(call: Call[PagesSettings], place: PhaseFolder, parts: list[Part[Any]], receipts: list[Receipt]) -> list[Receipt]:
    """Rounds for what was redirected from one part's hosts to another's: no host is ever asked by two parts at a time."""
    done: list[Receipt] = []
    for turn in range(1, MAX_REDIRECTS + 1):
        entries = [entry for receipt in receipts for entry in receipt.files if entry.kind == MOVED]
        if not entries:
            break
        handed_over = tuple(files.join(place.folder, entry.name) for entry in entries)
        links = sum(entry.rows for entry in entries)
        place = place.sibling(f"redirects-{turn}")
        if links <= LINKS_A_PART:
            parts = [Part("00000-of-00001", Share((), 0, 1, 1))]  # alone, it may ask every host, and no further round is needed
        moved = [Part(f"{p.key}-r{turn}", replace(p.work, shards=(), handed_over=handed_over), links) for p in parts]
        receipts = call.engine.work(place, moved, FetchPart(call.settings), "links")
        done += receipts
    return done


def _archived(call: Call[PagesSettings], place: PhaseFolder) -> TakePart:
    """The archives, indexed."""
    index = place.sibling("index")
    paths = archive_files(call.settings.fetch_from)
    buckets = bucket_count(paths)
    parts = numbered(enumerate(paths), lambda work: files.size(work[1]))
    indexed = call.engine.work(index, parts, IndexArchive(buckets), "bytes")
    sorting = place.sibling("captures")
    drawn = shuffle.gather(place, "captures", SPILL, shuffle.run_paths(index, SPILL, indexed), buckets, call.engine.work)
    captured = call.engine.work(sorting, drawn, SortCaptures(), "buckets")
    return TakePart(call.settings, tuple(paths), tuple(shuffle.run_paths(sorting, SORTED, captured)))


def archives(settings: PagesSettings) -> dict[str, Input]:
    """The WARC files as inputs: their content counts."""
    paths = archive_files(settings.fetch_from) if settings.fetch_from else []
    return {f"archive {i:05d}": file_input(path) for i, path in enumerate(paths)}


STAGE = Stage(
    name="pages",
    text="fetch the links politely; pages into WARC files, failures by name",
    settings=PagesSettings,
    inputs=("links",),
    work=work,
    unit="links",
    files=archives,
)

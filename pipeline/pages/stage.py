"""`pipeline pages`: links to pages in WARC files."""

from dataclasses import replace

from pipeline.engine import shuffle
from pipeline.engine.execute import Work, run_part
from pipeline.engine.parts import Part, Place, Receipt, numbered
from pipeline.engine.stage import Call, Outcome, Stage
from pipeline.engine.transform import RunParts
from pipeline.pages.archives import SORTED, SPILL, IndexArchive, SortCaptures, TakePart, archive_files, bucket_count
from pipeline.pages.crawl import MAX_REDIRECTS
from pipeline.pages.fetch import Fetch
from pipeline.pages.output import MOVED
from pipeline.pages.settings import PagesSettings, check_reachable
from pipeline.pages.share import Share, shares
from pipeline.storage import files
from pipeline.storage.manifest import Input, file_input, load_stage

LINKS_A_PART = 20_000
"""Few, large parts: many hosts side by side are what keeps one slow host from holding up the rest."""

ARCHIVED_LINKS_A_PART, ARCHIVED_PARTS = 1_000, 16
"""Archives have no slow hosts: so many parts, for workers to share, of so many links at least."""


def work(call: Call, place: Place) -> Outcome:
    """From the web: each part asks its own hosts, then the redirects to other parts' hosts go round. From archives: see there."""
    folder = call.inputs["links"]
    shards = [(files.join(folder, e.name), e.rows) for e in load_stage(folder, "links").of_kind("links")]
    dealt = shares(shards, _links_a_part(call.settings, sum(rows for _, rows in shards)))
    parts = [Part(f"{i:05d}-of-{len(dealt):05d}", share, links) for i, (share, links) in enumerate(dealt)]
    if call.settings.fetch_from:
        return Outcome(call.engine.run_parts(place, parts, RunParts(place, _archived(call, place)), "links"))
    check_reachable(call.settings)
    receipts = call.engine.run_parts(place, parts, Fetch(place, call.settings), "links")
    return Outcome([*receipts, *_redirected(call, place, parts, receipts)])


def _links_a_part(settings: PagesSettings, links: int) -> int:
    return min(LINKS_A_PART, max(ARCHIVED_LINKS_A_PART, links // ARCHIVED_PARTS)) if settings.fetch_from else LINKS_A_PART


def _redirected(call: Call, place: Place, parts: list[Part], receipts: list[Receipt]) -> list[Receipt]:
    """Rounds for what was redirected from one part's hosts to another's: no host is ever asked by two parts at a time."""
    done: list[Receipt] = []
    for turn in range(1, MAX_REDIRECTS + 1):
        entries = [entry for receipt in receipts for entry in receipt.files if entry.kind == MOVED]
        if not entries:
            break
        handed_over = tuple(files.join(place.folder, entry.name) for entry in entries)
        links = sum(entry.rows for entry in entries)
        place = place.next(f"redirects-{turn}")
        if links <= LINKS_A_PART:
            parts = [Part("00000-of-00001", Share((), 0, 1, 1))]  # alone, it may ask every host, and no further round is needed
        moved = [Part(f"{p.key}-r{turn}", replace(p.work, shards=(), handed_over=handed_over), links) for p in parts]
        receipts = call.engine.run_parts(place, moved, Fetch(place, call.settings), "links")
        done += receipts
    return done


def _archived(call: Call, place: Place) -> TakePart:
    """The archives, indexed."""
    index = place.next("index")
    paths = archive_files(call.settings.fetch_from)
    buckets = bucket_count(paths)
    parts = numbered(enumerate(paths), lambda work: files.size(work[1]))
    indexed = call.engine.run_parts(index, parts, RunParts(index, IndexArchive(buckets)), "bytes")

    def run(at: Place, parts: list[Part], work: Work, unit: str) -> list[Receipt]:
        if len(parts) == 1:  # done before a pipeline is built
            return [run_part(at, work, part) for part in parts]
        return call.engine.run_parts(at, parts, RunParts(at, work), unit)

    sorting = place.next("captures")
    drawn = shuffle.drawn(place, "captures", SPILL, shuffle.run_paths(index, SPILL, indexed), buckets, run)
    captured = run(sorting, drawn, SortCaptures(), "buckets")
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
    out="pages",
    files=archives,
)

"""`pipeline pages`: links to pages in WARC files."""

from pipeline import files
from pipeline.archives import SPILL, IndexArchive, TakePart, archive_files
from pipeline.fetch import STAGE_NAME, Fetch, PagesSettings, check_reachable, parts_of
from pipeline.manifest import Input, file_input, load_stage
from pipeline.parts import Part, Place, RunParts, numbered
from pipeline.stage import Call, Outcome, Stage

LINKS_A_PART = 20_000
"""Few, large parts: many hosts side by side are what keeps one slow host from holding up the rest."""


def work(call: Call, place: Place) -> Outcome:
    """From the web, one phase: each part asks its own hosts. From archives, two: index each file, then look the links up."""
    folder = call.inputs["links"]
    shards = [(files.join(folder, e.name), e.rows) for e in load_stage(folder, "links").of_kind("links")]
    grouped = parts_of(shards, LINKS_A_PART)
    parts = [Part(f"{i:05d}-of-{len(grouped):05d}", paths, links) for i, (paths, links) in enumerate(grouped)]
    if call.settings.fetch_from:
        return Outcome(call.engine.run_parts(place, parts, RunParts(place, _archived(call, place)), "links"))
    check_reachable(call.settings)
    return Outcome(call.engine.run_parts(place, parts, Fetch(place, call.settings), "links"))


def _archived(call: Call, place: Place) -> TakePart:
    """The archives, indexed."""
    index = place.next("index")
    paths = archive_files(call.settings.fetch_from)
    parts = numbered(paths, files.size)
    receipts = call.engine.run_parts(index, parts, RunParts(index, IndexArchive()), "bytes")
    return TakePart(call.settings, tuple((path, r.path(index, SPILL)) for path, r in zip(paths, receipts, strict=True)))


def archives(settings: PagesSettings) -> dict[str, Input]:
    """The WARC files as inputs: their content counts."""
    paths = archive_files(settings.fetch_from) if settings.fetch_from else []
    return {f"archive {i:05d}": file_input(path) for i, path in enumerate(paths)}


STAGE = Stage(
    name=STAGE_NAME,
    text="fetch the links politely; pages into WARC files, failures by name",
    settings=PagesSettings,
    inputs=("links",),
    work=work,
    unit="links",
    out="pages",
    files=archives,
)

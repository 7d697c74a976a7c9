"""`pipeline pages`: links to pages in WARC files."""

from pipeline import files
from pipeline.fetch import STAGE_NAME, Fetch, PagesSettings, check_reachable, parts_of
from pipeline.manifest import load_stage
from pipeline.parts import Part, Place
from pipeline.stage import Call, Outcome, Stage

LINKS_A_PART = 20_000
"""Few, large parts: many hosts side by side are what keeps one slow host from holding up the rest."""


def work(call: Call, place: Place) -> Outcome:
    """One phase: each part asks its own hosts."""
    folder = call.inputs["links"]
    check_reachable(call.settings)
    shards = [(files.join(folder, e.name), e.rows) for e in load_stage(folder, "links").of_kind("links")]
    grouped = parts_of(shards, LINKS_A_PART)
    parts = [Part(f"{i:05d}-of-{len(grouped):05d}", paths, links) for i, (paths, links) in enumerate(grouped)]
    return Outcome(call.engine.run_parts(place, parts, Fetch(place, call.settings), "links"))


STAGE = Stage(
    name=STAGE_NAME,
    text="fetch the links politely; pages into WARC files, failures by name",
    settings=PagesSettings,
    inputs=("links",),
    work=work,
    unit="links",
    out="pages",
)

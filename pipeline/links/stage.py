"""The stage `links`: sources of submissions in, links in buckets of hosts out."""

import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.engine.cores import usable_cores
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.settings import check_files, to_manifest
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.stage_folder import present_request, request_of
from pipeline.links.buckets import bucket_count, bucket_ranges
from pipeline.links.fold import LINKS, FoldBuckets, cutoff_of
from pipeline.links.intake import SpillSource
from pipeline.links.reddit_api import StoreSnapshot, client
from pipeline.links.rules import LinkRules
from pipeline.links.settings import STAGE_NAME, LinkSource, LinksSettings, SourceKind
from pipeline.storage import files
from pipeline.storage.manifest import Books, Input, StageManifest
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

NO_SOURCE = (
    "no source of links: give dumps (--submissions FILE…), lists of URLs (--urls FILE…) or --subreddits NAME… with Reddit's keys"
)


def work(call: Call[LinksSettings], phase: PhaseFolder) -> StageResult:
    """Spill the accepted submissions of every source, then fold each range of buckets."""
    settings = call.settings
    snapshots, stored = _store_snapshots(call, phase)
    intake = phase.sibling("intake")
    all_sources = [*sources(settings), *stored]
    parts = [Part(f"intake-{i:05d}", source, max(1, _size(source.path) >> 20)) for i, source in enumerate(all_sources)]
    spilled = call.engine.work(intake, parts, SpillSource(settings), "MB")
    for source, receipt in zip(all_sources, spilled, strict=True):
        if not receipt.books.items_in:
            logger.warning("links: %s holds no line", source.path)
    accepted = sum(receipt.books.items_out for receipt in spilled)
    spills = tuple(receipt.path(intake, "spill") for receipt in spilled)
    ranges = [Part(f"fold-{r.first:05d}", r) for r in bucket_ranges(bucket_count(accepted))]
    cutoff = cutoff_of(spills, settings.limit) if settings.limit else None
    folded = call.engine.work(phase.sibling("fold"), ranges, FoldBuckets(spills, settings, cutoff), "buckets")
    return StageResult([*snapshots, *spilled, *folded], books=_books([r.books for r in spilled], [r.books for r in folded]))


def _store_snapshots(call: Call[LinksSettings], phase: PhaseFolder) -> tuple[list[Receipt], list[LinkSource]]:
    """Store Reddit's answers as dumps, one subreddit after the other in this process: they share one rate limit."""
    live = phase.sibling(SourceKind.LIVE)
    names = sorted({name.lower() for name in call.settings.subreddits})
    if not names:
        return [], []
    client()
    parts = [Part(f"{SourceKind.LIVE}-{name}", name) for name in names]
    receipts = Engine(workers=1).work(live, parts, StoreSnapshot(call.settings.query), "subreddits", light=True)
    paths = [receipt.path(live, "snapshot") for receipt in receipts if receipt.books.items_out]
    if not paths:
        raise InputError(f"--subreddits {' '.join(names)}: Reddit lists no submission there; check the names")
    return receipts, [LinkSource(SourceKind.LIVE, path, files.base_name(path)) for path in paths]


def sources(settings: LinksSettings) -> list[LinkSource]:
    """The files to read, sorted by name: the order of the flags changes nothing. Raises InputError where two have one name."""
    by_name = sorted(
        [(Path(path).name, path, SourceKind.DUMP) for path in settings.submissions]
        + [(Path(path).name, path, SourceKind.URLS) for path in settings.urls]
    )
    names = Counter(name for name, _, _ in by_name)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise InputError(
            f"{repeated[0]}: {names[repeated[0]]} sources of that name; rename all but one, since drops name a line by it"
        )
    return [LinkSource(kind, path, name) for name, path, kind in by_name]


def source_files(settings: LinksSettings) -> dict[str, Input]:
    """The sources by content. They are named without their folder, so that a moved dump is an unchanged input."""
    if not settings.names_source:
        raise InputError(NO_SOURCE)
    LinkRules.of(settings, SourceKind.DUMP)  # a missing file of sites or subreddits is reported before any work
    chosen = sources(settings)
    for source in chosen:
        if not files.exists(source.path):
            raise InputError(f"{source.path}: no such file; give the path of a dump or list")
        if files.is_local(source.path) and not Path(source.path).is_file():
            raise InputError(f"{source.path}: a folder; give the files in it")
    with ThreadPoolExecutor(usable_cores()) as pool:
        digests = pool.map(files.fingerprint, [source.path for source in chosen])
        return {f"{s.kind} {s.name}": Input(s.name, digest) for s, digest in zip(chosen, digests, strict=True)}


def _size(path: str) -> int:
    return Path(path).stat().st_size if files.is_local(path) else 0


def _books(intake: list[Books], fold: list[Books]) -> Books:
    """Lines in, submissions that links name out; a submission that the fold drops passed the intake."""
    first, second = Books.total(intake), Books.total(fold)
    return Books(first.items_in, second.items_out, Books.total([first, second]).dropped)


def distinct_links(manifest: StageManifest) -> str:
    """The number of links, since several submissions may name one page, and whether they are a try."""
    text = f"{manifest.counters.get(LINKS, 0):,} distinct links"
    return f"{text}, a try by --limit" if manifest.settings.get("limit") else text


def outgrows(call: Call[LinksSettings]) -> bool:
    """Whether the folder holds a try that this call continues: its sources and settings, and a higher limit or none."""
    present = present_request(call.output)
    if present is None or present["stage"] != STAGE_NAME or not (limit := present["settings"].get("limit")):
        return False
    request = request_of(STAGE_NAME, to_manifest(call.settings), source_files(call.settings))
    same = present["inputs"] == request["inputs"] and _without_limit(present) == _without_limit(request)
    return same and (call.settings.limit is None or call.settings.limit > limit)


def _without_limit(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request["settings"].items() if name != "limit"}


class LinksStage(Stage[LinksSettings]):
    """A stage whose folder grows from a try to more links: a try is no result that anyone would lose."""

    def run(self, call: Call[LinksSettings]) -> StageManifest:
        """Choose the links; a try of the same sources is replaced by one of more links."""
        check_files(call.settings)
        if not call.engine.replace and outgrows(call):
            logger.info("links: goes on from a try of fewer links")
            call = replace(call, engine=replace(call.engine, replace=True))
        return Stage.run(self, call)


STAGE = LinksStage(
    name=STAGE_NAME,
    settings=LinksSettings,
    inputs=(),
    work=work,
    unit="submissions",
    note=distinct_links,
    files=source_files,
)

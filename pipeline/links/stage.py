"""The stage `links`: sources of submissions in, links in buckets of hosts out."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.links.fold import Fold, bucket_count, ranges
from pipeline.links.intake import STAGE as NAME
from pipeline.links.intake import TakeIn
from pipeline.links.reddit_api import StoreSnapshot, client
from pipeline.links.rules import Rules
from pipeline.links.settings import LinksSettings, Source
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import Books, Input, StageManifest

NO_SOURCE = (
    "no source of links: give dumps (--submissions FILE…), lists of URLs (--urls FILE…) or --subreddits NAME… with Reddit's keys"
)


def work(call: Call[LinksSettings], place: PhaseFolder) -> StageResult:
    """Take every source in, then fold each range of buckets."""
    settings = call.settings
    stored, snapshots = _store(call, place)
    intake = place.sibling("intake")
    found = [*sources(settings), *snapshots]
    parts = [Part(f"intake-{i:05d}", source, max(1, _size(source.path) >> 20)) for i, source in enumerate(found)]
    taken = call.engine.work(intake, parts, TakeIn(settings), "MB")
    accepted = sum(receipt.books.items_out for receipt in taken)
    spills = tuple(receipt.path(intake, "spill") for receipt in taken)
    merge = place.sibling("fold")
    buckets = [Part(f"fold-{r.first:05d}", r) for r in ranges(bucket_count(accepted))]
    folded = call.engine.work(merge, buckets, Fold(spills, settings), "buckets")
    return StageResult([*stored, *taken, *folded], books=_books([r.books for r in taken], [r.books for r in folded]))


def _store(call: Call[LinksSettings], place: PhaseFolder) -> tuple[list[Receipt], list[Source]]:
    """Reddit's answers, kept as dumps: one subreddit after the other in this process, since all share one limit of requests."""
    live = place.sibling("live")
    names = sorted({name.lower() for name in call.settings.subreddits})
    if not names:
        return [], []
    client()
    parts = [Part(f"live-{name}", name) for name in names]
    stored = Engine(workers=1).work(live, parts, StoreSnapshot(call.settings.question), "subreddits", light=True)
    paths = [receipt.path(live, "snapshot") for receipt in stored if receipt.books.items_out]
    if not paths:
        raise InputError(f"--subreddits {' '.join(names)}: Reddit lists no submission there; check the names")
    return stored, [Source("live", path, files.base_name(path)) for path in paths]


def sources(settings: LinksSettings) -> list[Source]:
    """The files to take in, by name and kind: the order of the flags changes nothing."""
    found = [(Path(path).name, path, kind) for kind, path in _paths(settings)]
    names = Counter(name for name, _, _ in found)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise InputError(
            f"{repeated[0]}: {names[repeated[0]]} sources of that name; rename all but one, since drops name a line by it"
        )
    return [Source(kind, path, name) for name, path, kind in sorted(found)]


def source_files(settings: LinksSettings) -> dict[str, Input]:
    """The sources by content; their names stand for them, so that a moved dump is still the same input."""
    if not settings.submissions and not settings.urls and not settings.subreddits:
        raise InputError(NO_SOURCE)
    Rules.of(settings, "dump")
    found = sources(settings)
    for source in found:
        if not files.exists(source.path):
            raise InputError(f"{source.path}: no such file; give the path of a dump or list that is there")
        if files.is_local(source.path) and not Path(source.path).is_file():
            raise InputError(f"{source.path}: a folder; give the files in it")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(files.fingerprint, [source.path for source in found])
        return {f"{s.kind} {s.name}": Input(s.name, digest) for s, digest in zip(found, digests, strict=True)}


def _paths(settings: LinksSettings) -> list[tuple[str, str]]:
    return [*(("dump", path) for path in settings.submissions), *(("urls", path) for path in settings.urls)]


def _size(path: str) -> int:
    return Path(path).stat().st_size if files.is_local(path) else 0


def _books(taken: list[Books], folded: list[Books]) -> Books:
    """Lines in, submissions in links out; a submission dropped by the fold was let in by the intake."""
    first, second = Books.total(taken), Books.total(folded)
    return Books(first.items_in, second.items_out, Books.total([first, second]).dropped)


def distinct_links(manifest: StageManifest) -> str:
    """The number of links: several submissions may name one page."""
    return f"{manifest.counters.get('links', 0):,} distinct links"


STAGE = Stage(
    name=NAME,
    text="Links of Reddit submissions that pass the paper's rules, folded by page and bucketed by host.",
    settings=LinksSettings,
    inputs=(),
    work=work,
    unit="submissions",
    note=distinct_links,
    files=source_files,
)

"""The update of a pages folder: what it holds is reused, and only links whose outcome may differ are asked.

--retry-failed asks the failures that may pass; --replace with other settings or links asks what those change. The folder's present
manifest stays valid until the new one is written. WARC files stay as they are; indexes and drops are written anew, beside new WARC
files, under names with the number of the update.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import orjson

from pipeline.engine import shuffle
from pipeline.engine.parts import WORK_FOLDER, Part, PhaseFolder, Receipt
from pipeline.engine.stage import Call, StageResult, Update
from pipeline.engine.stage_folder import REQUEST, EarlierFiles, present_request
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.fetch import FetchPart
from pipeline.pages.held import HELD, WARC, HeldFile, SpillHeld, held_by, unfinished
from pipeline.pages.listed import Listed
from pipeline.pages.outcomes import MAY_PASS
from pipeline.pages.politeness import MAX_REDIRECTS
from pipeline.pages.reuse import Change, Reuse, change
from pipeline.pages.settings import PagesSettings
from pipeline.storage import files
from pipeline.storage.manifest import NAME, FileEntry, Input, StageManifest
from pipeline.storage.next_version import aside_of
from tokenizer.errors import InputError

UPDATES = "updates"
"""The counter of a folder's updates."""
REFETCH = "refetch"
"""A file of the work folder: it says that the crawl in it was asked for by --refetch, and goes on."""
FetchAll = Callable[[Call[PagesSettings], PhaseFolder, FetchPart, str], list[Receipt]]
"""Fetches all links with a part's work; the text ends the keys of the parts."""

logger = logging.getLogger(__name__)


def update(
    call: Call[PagesSettings], phase: PhaseFolder, request: dict[str, Any], buckets: int, fetch_all: FetchAll
) -> Update | None:
    """The update that the flags ask for, if any. `buckets` is the number of shards of links.

    Raises InputError where a crawl of the web would be lost unasked.
    """
    settings, present = call.settings, present_request(call.output)
    if settings.refetch:
        _start_anew(call.output, request)
        return None
    if present is None or present["stage"] != request["stage"]:
        return None
    finished = files.exists(files.join(call.output, NAME))
    if present == request:
        if not (finished and settings.retry_failed):
            return None
        if not set(StageManifest.load(call.output).books.dropped) & MAY_PASS:
            logger.info("pages: no failure that may pass")
            return None
    elif not call.engine.replace or _is_from_archives(present):
        return None
    elif settings.sources != ("live",):
        flag = "--fetch-from" if settings.sources == ("warc",) else "--source"
        raise InputError(
            f"{call.output}: holds pages of the web, which {flag} would replace; choose another --output, or add --refetch"
        )
    changed = change(present["settings"], request["settings"])
    if settings.retry_failed:
        changed = Change(changed.asked | MAY_PASS, changed.vets_robots)
    return lambda: _update(call, phase, present, changed, buckets, fetch_all)


def _is_from_archives(present: dict[str, Any]) -> bool:
    return present["settings"].get("source", []) not in ([], ["live"]) or any(
        name.startswith("archive") for name in present["inputs"]
    )


def _start_anew(folder: str, request: dict[str, Any]) -> None:
    """Have the stage work anew, unless it is a crawl that --refetch has begun. A finished crawl stands until the new one is."""
    if present_request(folder) is None:
        return
    finished = files.exists(files.join(folder, NAME))
    place = aside_of(folder) if finished else folder
    work = files.join(place, WORK_FOLDER)
    if present_request(place) == request and files.exists(files.join(work, REFETCH)):
        return
    files.remove_folder(place if finished else work)
    files.publish_bytes(files.join(work, REQUEST), orjson.dumps(request))
    files.publish_bytes(files.join(work, REFETCH), b"")


def _update(
    call: Call[PagesSettings], phase: PhaseFolder, present: dict[str, Any], changed: Change, buckets: int, fetch_all: FetchAll
) -> StageResult:
    """Spill what is held, by the buckets of its hosts; fetch the rest; carry the WARC files that still have pages over."""
    files.remove_leftovers(call.output)
    manifest = StageManifest.load(call.output) if files.exists(files.join(call.output, NAME)) else None
    number = (manifest.counters.get(UPDATES, 0) if manifest else 0) + 1
    held, before = _held(call.output, manifest, present)
    name = f"{UPDATES}-{number}-{_fingerprint(manifest, held)}"
    holding = phase.sibling(f"{name}-{HELD}")
    parts = [Part(f"{i:05d}-of-{len(held):05d}-j{number}", source) for i, source in enumerate(held)]
    spilled = call.engine.work(holding, parts, SpillHeld(call.settings, buckets), "files")
    before += [entry for receipt in spilled for entry in receipt.files if entry.kind == WARC]
    listing = shuffle.write_paths(files.join(holding.work_folder, f"{HELD}.list"), shuffle.run_paths(holding, HELD, spilled))
    policy = AddressPolicy.of(call.settings.allow_addresses)
    reuse = Reuse(listing, changed, call.settings.max_body_bytes, policy)
    receipts = fetch_all(
        call, phase.sibling(name), FetchPart(call.settings, reuse, Listed.of(call.settings.takedown)), f"-u{number}"
    )
    earlier = EarlierFiles(_with_pages(call.output, before, receipts), before)
    return StageResult(receipts, counters={UPDATES: number}, earlier=earlier)


def _held(folder: str, manifest: StageManifest | None, present: dict[str, Any]) -> tuple[list[HeldFile], list[FileEntry]]:
    """The files with what the folder holds, and all of its published files."""
    if manifest:
        return held_by(folder, manifest.files), list(manifest.files)
    inputs = {name: Input("", sha256) for name, sha256 in present["inputs"].items()}
    before = PhaseFolder.first(present["stage"], folder, present["settings"], inputs)
    rounds = present["settings"].get("max_redirects", MAX_REDIRECTS)
    return unfinished(before, ["main", *(f"redirects-{turn}" for turn in range(1, rounds + 1))])


def _fingerprint(manifest: StageManifest | None, held: list[HeldFile]) -> str:
    """A name for what is held: an unfinished crawl may go on before it is updated."""
    sizes = [(one.path, files.size(one.path) if files.exists(one.path) else 0) for one in held]
    return hashlib.sha256(manifest.sha256.encode() if manifest else repr(sizes).encode()).hexdigest()[:16]


def _with_pages(folder: str, before: list[FileEntry], receipts: list[Receipt]) -> list[FileEntry]:
    """The WARC files from before that pages of the new indexes lie in."""
    used: set[str] = set()
    for entry in (entry for receipt in receipts for entry in receipt.files if entry.kind == "pages"):
        for batch in files.record_batches(files.join(folder, entry.name), ["warc_file"]):
            used.update(batch.column("warc_file").unique().to_pylist())
    return [entry for entry in before if entry.name in used]

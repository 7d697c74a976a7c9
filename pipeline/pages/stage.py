"""`pipeline pages`: links to pages in WARC files."""

import logging
import tempfile
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.archives.chain import Chain
from pipeline.archives.index_files import find_index_files, fingerprint, is_http
from pipeline.engine.parts import WORK_FOLDER, Part, PhaseFolder, Receipt
from pipeline.engine.stage import Call, Stage, StageResult, Update
from pipeline.pages.archive_files import archive_files, own_indexes
from pipeline.pages.archive_index import BAD_RECORDS
from pipeline.pages.archives import SKIPPED_FILES, copy_from_archives
from pipeline.pages.fetch import FetchPart
from pipeline.pages.listed import Listed
from pipeline.pages.outage import check_reached
from pipeline.pages.outcomes import MAY_PASS, PageDrop
from pipeline.pages.output import MOVED
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share, joined, shares
from pipeline.pages.update import update
from pipeline.storage import files, private_addresses
from pipeline.storage.manifest import MOST_FILES, NAME, Books, FileEntry, Input, StageManifest, check_room, file_input, load_stage
from tokenizer.errors import OutageError

logger = logging.getLogger(__name__)

LINKS_PER_PART = 20_000
"""Few, large parts: a slow host delays nobody where many hosts are asked side by side."""

MOST_PARTS = 5_000
"""Beyond so many, parts grow: each writes several files, again in each round of redirects."""

ARCHIVED_LINKS_PER_PART, ARCHIVED_PARTS = 1_000, 16
"""Archives have no slow hosts: 16 parts for workers to share, unless that makes them smaller than 1,000 links."""


def work(call: Call[PagesSettings], phase: PhaseFolder) -> StageResult:
    """Fetch from the web, or from archives, or from several sources in turn."""
    listed = Listed.of(call.settings.takedown)
    if call.settings.sources == ("live",):
        return StageResult(_fetch_all(call, phase, FetchPart(call.settings, listed=listed)))
    if call.settings.sources != ("warc",):
        return Chain(call, phase, _parts(call), len(_shards(call)), partial(_fetch_all, call), listed=listed).run()
    copy_part, skipped = copy_from_archives(call, phase)
    return StageResult(call.engine.work(phase, _parts(call), copy_part, "links"), counters=skipped)


def _parts(call: Call[PagesSettings], suffix: str = "") -> list[Part[Share]]:
    """The parts of all links. `suffix` ends their keys."""
    shards = [(files.join(call.inputs["links"], entry.name), entry.rows) for entry in _shards(call)]
    groups = shares(shards, _links_per_part(call.settings, sum(rows for _, rows in shards)))
    check_room(call.output, len(groups), _files_per_part(call.settings), _other_files(call, suffix))
    return [Part(f"{i:05d}-of-{len(groups):05d}{suffix}", share, links) for i, (share, links) in enumerate(groups)]


def _files_per_part(settings: PagesSettings) -> int:
    """Index, drops, and a WARC file from each source."""
    return 2 + len(settings.sources)


def _other_files(call: Call[PagesSettings], suffix: str) -> int:
    """The least beside the files of the parts: one part for redirects, and the WARC files that an update carries over."""
    redirects = _files_per_part(call.settings) if "live" in call.settings.sources else 0
    is_update = suffix and files.exists(files.join(call.output, NAME))
    return redirects + (len(StageManifest.load(call.output).of_kind("warc")) if is_update else 0)


def _shards(call: Call[PagesSettings]) -> list[FileEntry]:
    """The shards of links: one per bucket of hosts."""
    return load_stage(call.inputs["links"], "links").of_kind("links")


def _fetch_all(call: Call[PagesSettings], phase: PhaseFolder, work: FetchPart, suffix: str = "") -> list[Receipt]:
    """Fetch each part from its own hosts, then continue redirects to other parts' hosts."""
    parts = _parts(call, suffix)
    receipts = call.engine.work(phase, parts, work, "links")
    receipts = [*receipts, *_follow_redirects(call, phase, parts, receipts, work, suffix)]
    if call.settings.stop_on_outage and not work.earlier:
        _check_reached(phase, receipts)
    return receipts


def _check_reached(phase: PhaseFolder, receipts: list[Receipt]) -> None:
    """Raise OutageError where the whole crawl reached no site. Nothing is kept of it, so that the same command asks again."""
    books = Books.total(receipt.books for receipt in receipts)
    try:
        check_reached(books.items_out, books.dropped)
    except OutageError:
        files.remove_folder(files.join(phase.folder, WORK_FOLDER, phase.fingerprint[:16]))
        raise


def _update(call: Call[PagesSettings], phase: PhaseFolder, request: dict[str, Any]) -> Update | None:
    return update(call, phase, request, len(_shards(call)), _fetch_all if call.settings.sources == ("live",) else _ask_chain)


def _ask_chain(call: Call[PagesSettings], phase: PhaseFolder, work: FetchPart, suffix: str) -> list[Receipt]:
    """Ask all sources for the links whose outcome in an earlier run does not hold."""
    parts, buckets = _parts(call, suffix), len(_shards(call))
    return list(Chain(call, phase, parts, buckets, partial(_fetch_all, call), suffix, work.reuse, work.listed).run().receipts)


def _links_per_part(settings: PagesSettings, links: int) -> int:
    most = max(LINKS_PER_PART, links // MOST_PARTS)
    if settings.sources[0] != "warc":
        return most
    return min(most, max(ARCHIVED_LINKS_PER_PART, links // ARCHIVED_PARTS))


def _follow_redirects(
    call: Call[PagesSettings],
    phase: PhaseFolder,
    parts: list[Part[Share]],
    receipts: list[Receipt],
    work: FetchPart,
    suffix: str,
) -> list[Receipt]:
    """Fetch what was redirected from one part's hosts to another's, in rounds: a host is asked by one part at a time."""
    done: list[Receipt] = []
    first = "" if phase.name == "main" else f"{phase.name}-"
    hosts, most = [part.work for part in parts], _parts_per_round(call, len(parts), suffix)
    for turn in range(1, call.settings.max_redirects + 1):
        entries = [entry for receipt in receipts for entry in receipt.files if entry.kind == MOVED]
        if not entries:
            break
        moved = tuple(files.join(phase.folder, entry.name) for entry in entries)
        links = sum(entry.rows for entry in entries)
        phase = phase.sibling(f"{first}redirects-{turn}")
        hosts = joined(hosts, most if links > LINKS_PER_PART else 1)  # one part may ask every host: no further round is needed
        keys = (f"{i:05d}-of-{len(hosts):05d}{suffix}-r{turn}" for i in range(len(hosts)))
        turn_parts = [Part(key, replace(share, shards=(), moved=moved), links) for key, share in zip(keys, hosts, strict=True)]
        receipts = call.engine.work(phase, turn_parts, replace(work, reuse=None), "links")
        done += receipts
    return done


def _parts_per_round(call: Call[PagesSettings], parts: int, suffix: str) -> int:
    """Most parts of a round of redirects, so that the manifest has room for the files of all rounds."""
    per_part = _files_per_part(call.settings)
    room = MOST_FILES - parts * per_part - _other_files(call, suffix)
    return max(1, room // (per_part * call.settings.max_redirects)) if call.settings.max_redirects else 1


def archives(settings: PagesSettings) -> dict[str, Input]:
    """The WARC files of --fetch-from, and the indexes of our own crawls among them, as inputs: their content counts.

    Of the files of --archive-index, names and sizes count.
    """
    paths = archive_files(settings.fetch_from) if settings.fetch_from else []
    indexes = sorted({index for path in paths for index in own_indexes(path)})
    inputs = {f"archive {i:05d}": file_input(path) for i, path in enumerate(paths)}
    if settings.archive_index:
        with tempfile.TemporaryDirectory() as folder, settings.access("commoncrawl", folder).service() as service:
            base = settings.commoncrawl if is_http(settings.commoncrawl) else ""
            index = find_index_files(settings.archive_index, base, service)
        inputs["archive captures"] = Input(files.base_name(settings.archive_index[0]), fingerprint(index))
    return inputs | {f"archive index {i:05d}": file_input(path) for i, path in enumerate(indexes)}


def skipped(manifest: StageManifest) -> str:
    """What --fetch-from skipped: `3 files of other kinds and 2 bad records skipped`."""
    counts = [(SKIPPED_FILES, "files of other kinds"), (BAD_RECORDS, "bad records")]
    shown = [f"{manifest.counters[name]:,} {words}" for name, words in counts if manifest.counters.get(name)]
    return f"{' and '.join(shown)} skipped" if shown else ""


class PagesStage(Stage[PagesSettings]):
    """A stage that ends the need for the addresses with credentials, which the links' folder holds privately."""

    def run(self, call: Call[PagesSettings]) -> StageManifest:
        """Fetch the pages, then remove the private addresses of the links."""
        manifest = Stage.run(self, call)
        if removed := manifest.books.dropped.get(PageDrop.CREDENTIALS_REMOVED):
            logger.warning(
                "pages: %d links have credentials in their addresses, which are removed after a fetch; run links with --replace, then"
                " pages, to fetch them",
                removed,
            )
        if not private_addresses.forget(call.inputs["links"]):
            private = files.join(call.inputs["links"], private_addresses.FOLDER)
            logger.warning("pages: cannot remove %s; remove it before others can read this folder", private)
        return manifest


STAGE = PagesStage(
    name="pages",
    settings=PagesSettings,
    inputs=("links",),
    work=work,
    unit="links",
    files=archives,
    note=skipped,
    may_pass=MAY_PASS,
    update=_update,
)

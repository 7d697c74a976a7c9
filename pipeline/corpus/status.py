"""`webtext status`: what each stage of a corpus holds, and whether it is up to date, stale, unfinished or running."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import orjson

from pipeline.corpus.folder import DATA_STAGES, stage_folders
from pipeline.corpus.tool import Tool
from pipeline.engine.parts import WORK_FOLDER
from pipeline.engine.progress import duration_text
from pipeline.storage import files
from pipeline.storage.chain import Break, broken_links
from pipeline.storage.manifest import NAME, StageManifest, Text
from pipeline.storage.next_version import aside_of
from tokenizer.errors import InputError
from tokenizer.folder_lock import lock_holder
from tokenizer.typed_json import decode
from tokenizer.untrusted import MAX_JSON_BYTES, check_file

UP_TO_DATE, STALE, RUNNING, UNFINISHED, NOT_STARTED, DAMAGED, SHARED = (
    *("up to date", "stale", "running", "unfinished"),
    *("not started", "damaged", "shared"),
)
SIZE_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage of a corpus. `detail` says why a stage is not up to date; `seconds` is the duration of its last finished run."""

    stage: str
    state: str
    detail: str = ""
    items_in: int = 0
    items_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    seconds: float | None = None
    finished_at: str | None = None


def corpus_status(corpus: str) -> list[StageStatus]:
    """The status of every stage, in the order of the data. Reads manifests alone, no data."""
    folders = stage_folders(corpus)
    manifests = {name: _manifest(folder) for name, folder in folders.items()}
    statuses: dict[str, StageStatus] = {}
    for name in DATA_STAGES:
        statuses[name] = _status(name, folders, manifests, statuses)
    return list(statuses.values())


def _manifest(folder: str) -> StageManifest | InputError | None:
    """The manifest, None where there is none, the error where it is damaged."""
    if not files.exists(files.join(folder, NAME)):
        return None
    try:
        return StageManifest.load(folder)
    except InputError as error:
        return error


def _status(
    name: str,
    folders: dict[str, str],
    manifests: dict[str, StageManifest | InputError | None],
    before: dict[str, StageStatus],
) -> StageStatus:
    folder, manifest = folders[name], manifests[name]
    if holder := lock_holder(folder) if files.is_local(folder) else None:
        return StageStatus(name, RUNNING, f"{holder}; {_parts_text(folder)}")
    if isinstance(manifest, InputError):
        return StageStatus(name, DAMAGED, str(manifest))
    if manifest is None:
        started = files.is_local(folder) and Path(folder, WORK_FOLDER).is_dir()
        if started:
            return StageStatus(name, UNFINISHED, _parts_text(folder))
        shared = _shared(name, manifests)
        return StageStatus(name, SHARED, shared) if shared else StageStatus(name, NOT_STARTED)
    reason = _stale(manifest, manifests, before) or _stale_elsewhere(folder, manifest)
    limit = manifest.settings.get("limit") if name == "links" else None
    run = _run(folder)
    return StageStatus(
        name,
        STALE if reason else UP_TO_DATE,
        reason or (f"a try by --limit {limit}" if limit else ""),
        manifest.books.items_in,
        manifest.books.items_out,
        dict(sorted(manifest.books.dropped.items(), key=lambda pair: (-pair[1], pair[0]))),
        sum(entry.bytes for entry in manifest.files),
        run.seconds,
        run.finished_at,
    )


def _shared(name: str, manifests: dict[str, StageManifest | InputError | None]) -> str:
    """Where the vocabulary lies that the corpus' shards were made with, if it is another corpus' or that of all months."""
    tokens = manifests["tokens"]
    if name != "vocabulary" or not isinstance(tokens, StageManifest) or "vocabulary" not in tokens.inputs:
        return ""
    path = tokens.inputs["vocabulary"].path
    return "" if path == "../vocabulary" else f"tokens read that in {path}"


def _stale(
    manifest: StageManifest, manifests: dict[str, StageManifest | InputError | None], before: dict[str, StageStatus]
) -> str:
    """Why a finished stage no longer follows from its inputs in this corpus; empty where it does."""
    beside = [name for name, entry in manifest.inputs.items() if entry.path == f"../{name}"]
    for name in [read for read in DATA_STAGES if read in beside]:
        present = manifests[name]
        if not isinstance(present, StageManifest):
            return f"its input '{name}' is {before[name].state}"
        if present.sha256 != manifest.inputs[name].sha256:
            return f"'{name}' has changed since"
        if before[name].state != UP_TO_DATE:
            return f"its input '{name}' is {before[name].state}"
    return ""


def _stale_elsewhere(folder: str, manifest: StageManifest) -> str:
    """Why a stage no longer follows from folders of other months or a shared vocabulary, as far as they may be read."""
    broken = [link for link in broken_links(folder, manifest) if link.kind is not Break.ELSEWHERE]
    return str(broken[0]) if broken else ""


def _parts_text(folder: str) -> str:
    """`12 parts done`, and the last error of a part, from the work folder."""
    aside = Path(aside_of(folder), WORK_FOLDER)
    work = aside if aside.is_dir() else Path(folder, WORK_FOLDER)
    done = sum(1 for _ in work.rglob("*.receipt.json"))
    found = [path for kind in ("error", "outage") for path in work.rglob(f"*.{kind}")]
    errors = sorted(found, key=lambda path: path.stat().st_mtime)
    text = f"{done:,} part{'' if done == 1 else 's'} done"
    return f"{text}; last error: {errors[-1].read_text(errors='replace').strip()}" if errors else text


class _Run(msgspec.Struct):
    """What is shown of run.json."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e10)] | None = None
    finished_at: Text | None = None


def _run(folder: str) -> _Run:
    """Duration and time of the last finished run; neither where its record is missing or damaged, since no stage reads it."""
    path = files.join(folder, "run.json")
    if not files.exists(path):
        return _Run()
    try:
        if files.is_local(folder):
            check_file(folder, "run.json")
        return decode(files.read_bytes(path, MAX_JSON_BYTES), _Run)
    except ValueError:
        return _Run()


def status_lines(statuses: Sequence[StageStatus]) -> Iterator[str]:
    """A table with one row per stage, then the totals and what to do next."""
    rows: list[tuple[str, ...]] = [("stage", "state", "in", "out", "size", "took", "finished", "")]
    rows += [_row(status) for status in statuses]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        left, right = row[:2], row[2:6]
        cells = [cell.ljust(width) for cell, width in zip(left, widths, strict=False)]
        cells += [cell.rjust(width) for cell, width in zip(right, widths[2:6], strict=True)]
        yield "  ".join([*cells, row[6].ljust(widths[6]), row[7]]).rstrip()
    yield ""
    yield f"{size_text(sum(status.bytes for status in statuses))} in all"
    waiting = [status for status in statuses if status.state not in (UP_TO_DATE, SHARED) and status.stage != "overlap"]
    if waiting:
        yield f"next: {waiting[0].stage} ({waiting[0].state}); run `webtext run` with the same flags to go on"


def _row(status: StageStatus) -> tuple[str, ...]:
    finished = status.state in (UP_TO_DATE, STALE)
    note = status.detail
    if not note and status.dropped:
        note = "dropped " + ", ".join(f"{count:,} {reason}" for reason, count in list(status.dropped.items())[:3])
    return (
        status.stage,
        status.state,
        f"{status.items_in:,}" if finished else "",
        f"{status.items_out:,}" if finished else "",
        size_text(status.bytes) if finished else "",
        duration_text(status.seconds) if status.seconds is not None else "",
        status.finished_at or "",
        note,
    )


def size_text(size: float) -> str:
    """`812 bytes`, `3.1 MB`: decimal units."""
    for unit in SIZE_UNITS:
        if size < 1000 or unit == SIZE_UNITS[-1]:
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON list with an object per stage")


def _work(arguments: argparse.Namespace) -> None:
    if files.is_local(arguments.corpus) and not Path(arguments.corpus).is_dir():
        raise InputError(f"{arguments.corpus}: no such folder; name the corpus folder that `run` filled")
    statuses = corpus_status(arguments.corpus)
    if arguments.json:
        sys.stdout.write(orjson.dumps([asdict(status) for status in statuses], option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in status_lines(statuses))


TOOL = Tool("status", _flags, _work)

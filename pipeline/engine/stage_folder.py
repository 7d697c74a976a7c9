"""The folder of a stage: opened for work, closed by its manifest, with a record of the run beside the manifest."""

import platform
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import msgspec
import orjson

from pipeline.engine.parts import WORK_FOLDER, PhaseFolder, Receipt, is_spill
from pipeline.engine.runner import Engine
from pipeline.storage import files, private_addresses
from pipeline.storage.manifest import NAME, Books, FileEntry, Input, SettingValue, StageManifest
from pipeline.storage.next_version import aside_of, check_foreign, is_aside, sweep, switch
from tokenizer.errors import DISK_ERRORS, InputError
from tokenizer.folder_lock import LOCK
from tokenizer.typed_json import Sha256, decode
from tokenizer.untrusted import MAX_JSON_BYTES, inner_name

REQUEST = "settings.json"
"""The file of the work folder that says what an unfinished folder is made from."""
CLOSING = "closing.json"
"""The file of the work folder that names the files which the manifest about to be written replaces."""
NAMED_FOLDER = re.compile(r"(.+)_[0-9a-f]{16}")
"""The name of an input that is a folder of a flag: the flag, and the start of its manifest's hash."""


@dataclass(frozen=True, slots=True)
class EarlierFiles:
    """Files that the folder held before: those that still count, and all that the new manifest replaces."""

    kept: Sequence[FileEntry] = ()
    replaced: Sequence[FileEntry] = ()


NO_EARLIER_FILES = EarlierFiles()


def open_stage(
    stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input], *, replace: bool
) -> PhaseFolder | None:
    """`find_work`, and `begin_work` where there is work to do."""
    phase = find_work(stage, folder, settings, inputs, replace=replace)
    if phase is not None:
        begin_work(phase, settings, inputs)
    return phase


def find_work(
    stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input], *, replace: bool
) -> PhaseFolder | None:
    """The folder of the stage's first phase, or None where its manifest already matches settings and inputs. Changes nothing.

    A finished stage that is to be replaced stands until the next version is complete: the phase's folder then lies aside.
    Raises InputError where the folder holds output of other settings or inputs, naming those that differ, unless `replace`; and
    where it holds files that no stage made.
    """
    request = request_of(stage, settings, inputs)
    present, aside = present_request(folder), aside_of(folder)
    finished = files.exists(files.join(folder, NAME))
    if finished and present is not None and present["stage"] == stage and present_request(aside) == request:
        return PhaseFolder.first(stage, aside, settings, inputs)  # a replacement that goes on
    if present is None:
        if WORK_FOLDER not in files.names(folder):
            check_foreign(folder)
    elif present != request:
        if not replace or present["stage"] != stage:
            raise InputError(_difference(folder, present, request))
    elif finished:
        return None
    return PhaseFolder.first(stage, aside if finished else folder, settings, inputs)


def begin_work(phase: PhaseFolder, settings: dict[str, Any], inputs: dict[str, Input]) -> None:
    """Record settings and inputs in the folder of the work. What was begun there with others is removed."""
    folder, work = phase.folder, files.join(phase.folder, WORK_FOLDER)
    request = request_of(phase.stage, settings, inputs)
    try:
        if present_request(folder) not in (None, request):
            files.remove_folder(folder if is_aside(folder) else work)
            private_addresses.forget(folder)
        if not is_aside(folder):
            files.remove_folder(aside_of(folder))
        files.make_folder(phase.work_folder)
        files.remove_leftovers(folder)
        files.publish_bytes(files.join(work, REQUEST), orjson.dumps(request))
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        raise InputError(f"{folder}: cannot write there ({error.strerror or error}); choose another --output") from error


@contextmanager
def begun_work(phase: PhaseFolder, settings: dict[str, Any], inputs: dict[str, Input]) -> Iterator[None]:
    """`begin_work`, then the block's work. Where it ends with an InputError, its settings bind nobody: the user will change them.

    Finished parts are kept for the same command. A finished stage that was to be replaced stands as it was.
    """
    begin_work(phase, settings, inputs)
    try:
        yield
    except InputError:
        work = files.join(phase.folder, WORK_FOLDER)
        files.remove(files.join(work, REQUEST))
        if not any(_is_worth_keeping(name) for name in files.names_below(work)):
            files.remove_folder(work)
            private_addresses.forget(phase.folder)
        if files.names(phase.folder) in ([], [LOCK]):
            files.remove_folder(phase.folder)
        raise


def _is_worth_keeping(name: str) -> bool:
    """Whether a file of the work folder saves the next run some work: all but errors and progress do."""
    return not name.endswith((".error", ".progress"))


def request_of(stage: str, settings: dict[str, Any], inputs: dict[str, Input]) -> dict[str, Any]:
    """What a folder is made from, as JSON gives it back: stage, settings, and the hashes of the inputs."""
    request = {"stage": stage, "settings": settings, "inputs": {name: i.sha256 for name, i in inputs.items()}}
    read: dict[str, Any] = orjson.loads(orjson.dumps(request))
    return read


def close_stage(
    phase: PhaseFolder,
    settings: dict[str, Any],
    inputs: dict[str, Input],
    receipts: Sequence[Receipt],
    *,
    books: Books | None = None,
    counters: dict[str, int] | None = None,
    dataset: dict[str, Any] | None = None,
    earlier: EarlierFiles = NO_EARLIER_FILES,
) -> StageManifest:
    """Publish the manifest of the receipts' files and remove the work folder: the stage is done.

    Raises RuntimeError where the books do not balance.
    """
    published = [e for r in receipts for e in r.files if not (is_spill(e.name) or private_addresses.is_private(e.name))]
    entries = sorted([*earlier.kept, *published], key=lambda e: e.name)
    books = books or Books.total(r.books for r in receipts)
    books.check(phase.stage)
    counted: dict[str, int] = {}
    for receipt in receipts:
        for name, value in receipt.counters.items():
            counted[name] = counted.get(name, 0) + value
    manifest = StageManifest(phase.stage, settings, inputs, tuple(entries), books, counted | (counters or {}), dataset)
    if replaced := sorted({entry.name for entry in earlier.replaced} - {entry.name for entry in entries}):
        closing = {"manifest": manifest.sha256, "replaced": replaced}
        files.publish_bytes(files.join(phase.folder, WORK_FOLDER, CLOSING), orjson.dumps(closing))
    if is_aside(phase.folder):
        manifest.save(phase.folder)
        switch(_parent(phase.folder))
        return manifest
    sweep(phase.folder, replace(manifest, files=(*manifest.files, *earlier.replaced)))
    manifest.save(phase.folder)
    finish_closing(phase.folder)
    files.remove_folder(files.join(phase.folder, WORK_FOLDER))
    return manifest


def _parent(aside: str) -> str:
    return aside.rstrip("/").rpartition("/")[0]


class _Closing(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of closing.json: the manifest's hash, and the files to remove once it is there."""

    manifest: Sha256
    replaced: list[str]


def finish_closing(folder: str) -> None:
    """Finish what a run was killed before it did: the switch to a complete version, the removal of replaced files."""
    switch(folder)
    path = files.join(folder, WORK_FOLDER, CLOSING)
    if not files.exists(path):
        return
    try:
        closing = decode(files.read_bytes(path, MAX_JSON_BYTES), _Closing)
        names = [inner_name(name) for name in closing.replaced]
    except ValueError as error:
        raise InputError(f"{path}: not written by this program ({error}); remove it") from error
    if files.exists(files.join(folder, NAME)) and StageManifest.load(folder).sha256 == closing.manifest:
        for name in names:
            files.remove(files.join(folder, name))
        files.remove_folder(files.join(folder, WORK_FOLDER))


def record_run(folder: str, seconds: float, engine: Engine, receipts: Sequence[Receipt]) -> None:
    """Write run.json beside the manifest: time, duration, versions and timings. No stage reads it."""
    timings: Counter[str] = Counter()
    for receipt in receipts:
        timings.update(receipt.timings)
    packages = ("webtext", "apache-beam", "pyarrow", "trafilatura", "tokenizers", "datasketch")
    run = {
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "timings": dict(timings),
        "workers": engine.workers,
        "beam_flags": [f.split("=")[0] for f in engine.beam_flags],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
    files.publish_bytes(files.join(folder, "run.json"), orjson.dumps(run, option=orjson.OPT_INDENT_2))


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of settings.json: what a stage was asked for, before it has a manifest."""

    stage: str
    settings: dict[str, SettingValue]
    inputs: dict[str, Sha256]


def present_request(folder: str) -> dict[str, Any] | None:
    """Stage, settings and inputs of what the folder holds, finished or not; None for a new folder."""
    if files.exists(files.join(folder, NAME)):
        manifest = StageManifest.load(folder)
        inputs = {name: i.sha256 for name, i in manifest.inputs.items()}
        return {"stage": manifest.stage, "settings": manifest.settings, "inputs": inputs}
    started = files.join(folder, WORK_FOLDER, REQUEST)
    if not files.exists(started):
        return None
    try:
        request = decode(files.read_bytes(started, MAX_JSON_BYTES), _Request)
    except ValueError as error:
        raise InputError(f"{started}: not the settings of a run ({error}); remove {folder} and run the stage again") from error
    return {"stage": request.stage, "settings": request.settings, "inputs": request.inputs}


def _difference(folder: str, present: dict[str, Any], request: dict[str, Any]) -> str:
    if present["stage"] != request["stage"]:
        return f"{folder}: holds the output of stage '{present['stage']}', not of '{request['stage']}'; choose another --output"
    differing = [*setting_differences(present, request), *input_differences(present, request)]
    return f"{folder}: made with other settings ({'; '.join(differing)}); choose another --output, or --replace to rebuild it"


def setting_differences(present: dict[str, Any], request: dict[str, Any]) -> list[str]:
    """`threshold was 0.7, now 0.9`, for each setting that differs between two requests."""
    old, new = present["settings"], request["settings"]
    return [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}" for name in sorted(old | new) if old.get(name) != new.get(name)
    ]


def input_differences(present: dict[str, Any], request: dict[str, Any]) -> list[str]:
    """`input 'links' differs`, `a folder of --against is new`, for each input that differs between two requests."""
    old, new = present["inputs"], request["inputs"]
    found = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    states = [("differs" if name in new else "is left out") if name in old else "is new" for name in found]
    return list(dict.fromkeys(f"{_input_text(name)} {state}" for name, state in zip(found, states, strict=True)))


def _input_text(name: str) -> str:
    named = NAMED_FOLDER.fullmatch(name)
    return f"a folder of --{named[1]}" if named else f"input '{name}'"

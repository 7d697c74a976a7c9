"""What every stage has in common: name, settings, inputs, and the protocol around its work (open, work, close, say what came of it)."""

import gc
import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import orjson

from pipeline.engine.parts import WORK_FOLDER, Place, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.settings import recorded
from pipeline.storage import files
from pipeline.storage.files import InputError
from pipeline.storage.manifest import NAME, Books, Input, Manifest, stage_input
from pipeline.storage.verification import check_input

logger = logging.getLogger(__name__)


@cache
def _freeze_imports() -> None:
    """What is imported by now is there to stay. Searching it for garbage again and again was 3 to 5 % of the tokens stage."""
    gc.collect()
    gc.freeze()


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a stage: the folders of the stages it reads, by their name; its own folder; settings; engine."""

    inputs: dict[str, str]
    output: str
    settings: Any
    engine: Engine


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage's work hands back for the manifest. `books` default to the sum of the receipts'."""

    receipts: Sequence[Receipt]
    books: Books | None = None
    counters: dict[str, int] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None


def no_files(_settings: Any) -> dict[str, Input]:
    """A stage that reads no file of the user's."""
    return {}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the pipeline.

    `inputs` name the stages whose folders it reads: the first is the flag --input, the others flags of their names. `files` gives the
    user's own files that the settings name, so that their content counts as an input. `out` is the word for what comes out. `explain` says
    what the stage does to one item of its first input (folder, item, settings), `tell` what its
    finished folder says of one (folder, item): a stage with either has the flag --explain.
    """

    name: str
    text: str
    settings: type[Any]
    inputs: tuple[str, ...]
    work: Callable[[Call, Place], Outcome]
    unit: str
    out: str
    files: Callable[[Any], dict[str, Input]] = no_files
    explain: Callable[[str, str, Any], str] | None = None
    tell: Callable[[str, str], str] | None = None

    def run(self, call: Call) -> Manifest:
        """Do the stage, or find it done already. Raises InputError for what the user must mend."""
        settings = recorded(call.settings)
        inputs = {name: stage_input(folder, call.output) for name, folder in call.inputs.items()} | self.files(call.settings)
        started = time.monotonic()
        _freeze_imports()
        place = open_stage(self.name, call.output, settings, inputs, replace=call.engine.replace)
        if place is None:
            logger.info("%s: up to date", self.name)
            return Manifest.load(call.output)
        for folder in call.inputs.values():
            check_input(folder, call.engine.workers)
        outcome = self.work(call, place)
        manifest = close_stage(
            place, settings, inputs, outcome.receipts, books=outcome.books, counters=outcome.counters, dataset=outcome.dataset
        )
        seconds = time.monotonic() - started
        record_run(call.output, seconds, call.engine, outcome.receipts)
        logger.info("%s", self.summary(manifest, seconds))
        return manifest

    def summary(self, manifest: Manifest, seconds: float) -> str:
        """`links: 300 submissions in, 120 links out, 180 dropped (100 self_post, 80 low_karma) in 2 s`.

        Where one rule removed everything, that rule is named first.
        """
        books = manifest.books
        reasons = sorted(books.dropped.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{items:,} {reason}" for reason, items in reasons[:4]) + (", …" if len(reasons) > 4 else "")
        dropped = f", {sum(books.dropped.values()):,} dropped ({shown})" if reasons else ""
        line = f"{self.name}: {books.items_in:,} {self.unit} in, {books.items_out:,} {self.out} out{dropped} in {seconds:.0f} s"
        if books.items_in and not books.items_out and reasons:
            line += f"; nothing is left, most went by '{reasons[0][0]}'"
        return line


def open_stage(stage: str, folder: str, settings: dict[str, Any], inputs: dict[str, Input], *, replace: bool) -> Place | None:
    """The place to work in, or None where the folder's manifest already says what it would say.

    Raises InputError where the folder holds output of other settings or inputs, naming those that differ, unless `replace`.
    """
    place = Place.of(stage, folder, settings, inputs)
    said: dict[str, Any] = {
        "stage": stage,
        "settings": settings,
        "inputs": {name: i.sha256 for name, i in inputs.items()},
    }
    standing = _standing(folder)
    if standing is not None and standing != orjson.loads(orjson.dumps(said)):
        if not replace:
            raise InputError(_difference(folder, standing, said))
        files.remove(files.join(folder, NAME))
        files.remove_folder(files.join(folder, WORK_FOLDER))
    elif files.exists(files.join(folder, NAME)):
        return None
    try:
        files.make_folder(place.work_folder)
        files.remove_leftovers(folder)
        files.publish_bytes(files.join(folder, WORK_FOLDER, "settings.json"), orjson.dumps(said))
    except OSError as error:
        if error.errno in files.DISK_ERRORS:
            raise
        raise InputError(f"{folder}: cannot write there ({error.strerror or error}); choose another --output") from error
    return place


def close_stage(
    place: Place,
    settings: dict[str, Any],
    inputs: dict[str, Input],
    receipts: Sequence[Receipt],
    *,
    books: Books | None = None,
    counters: dict[str, int] | None = None,
    dataset: dict[str, Any] | None = None,
) -> Manifest:
    """Publish the manifest of the receipts' files; then the stage is done, and its work folder goes.

    Raises RuntimeError where the books do not balance.
    """
    entries = sorted((e for r in receipts for e in r.files if not e.name.startswith(WORK_FOLDER)), key=lambda e: e.name)
    books = books or Books.total(r.books for r in receipts)
    books.check(place.stage)
    counted: dict[str, int] = {}
    for receipt in receipts:
        for name, value in receipt.counters.items():
            counted[name] = counted.get(name, 0) + value
    manifest = Manifest(place.stage, settings, inputs, tuple(entries), books, counted | (counters or {}), dataset)
    manifest.save(place.folder)
    files.remove_folder(files.join(place.folder, WORK_FOLDER))
    return manifest


def record_run(folder: str, seconds: float, engine: Engine, receipts: Sequence[Receipt]) -> None:
    """Write run.json beside the manifest: when, how long, with what, what clocks counted. Never an input of anything."""
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


def _standing(folder: str) -> dict[str, Any] | None:
    if files.exists(files.join(folder, NAME)):
        manifest = Manifest.load(folder)
        inputs = {name: i.sha256 for name, i in manifest.inputs.items()}
        return {"stage": manifest.stage, "settings": manifest.settings, "inputs": inputs}
    begun = files.join(folder, WORK_FOLDER, "settings.json")
    return orjson.loads(files.read_bytes(begun)) if files.exists(begun) else None


def _difference(folder: str, standing: dict[str, Any], said: dict[str, Any]) -> str:
    if standing["stage"] != said["stage"]:
        return f"{folder}: holds the output of stage '{standing['stage']}', not of '{said['stage']}'; choose another --output"
    old, new = standing["settings"], said["settings"]
    differing = [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}" for name in sorted(old | new) if old.get(name) != new.get(name)
    ]
    old, new = standing["inputs"], said["inputs"]
    differing += [f"input '{name}' differs" for name in sorted(old | new) if old.get(name) != new.get(name)]
    return f"{folder}: made with other settings ({'; '.join(differing)}); choose another --output, or --replace to make it anew"

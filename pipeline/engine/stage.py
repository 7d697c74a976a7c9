"""The interface of a stage: name, settings, inputs, work; and its run: open the folder, work, publish the manifest, report."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Generic, TypeVar

from pipeline.engine.parts import PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.settings import check_files, to_manifest, user_paths
from pipeline.engine.shared_folders import absolute, refuse_local
from pipeline.engine.stage_folder import (
    NO_EARLIER_FILES,
    EarlierFiles,
    begun_work,
    close_stage,
    find_work,
    finish_closing,
    record_run,
    request_of,
)
from pipeline.storage.chain import check_chain
from pipeline.storage.files import is_local, is_same
from pipeline.storage.manifest import Books, Input, StageManifest, stage_input
from pipeline.storage.places import naming
from pipeline.storage.verification import check_input
from tokenizer.errors import InputError
from tokenizer.folder_lock import folder_lock

S = TypeVar("S")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call(Generic[S]):
    """One run of a stage. `inputs` maps the stages that it reads to their folders; `output` is its own folder."""

    inputs: dict[str, str]
    output: str
    settings: S
    engine: Engine


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage's work returns for the manifest. `books` default to the sum of the receipts' books."""

    receipts: Sequence[Receipt]
    books: Books | None = None
    counters: dict[str, int] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    earlier: EarlierFiles = NO_EARLIER_FILES


def no_files(_settings: Any) -> dict[str, Input]:
    """The default of `Stage.files`: the stage reads no file of the user."""
    return {}


def no_folders(_settings: Any) -> dict[str, Sequence[str]]:
    """The default of `Stage.folders`: the settings name no folder of a finished stage."""
    return {}


Update = Callable[[], StageResult]


def no_update(_call: Call[Any], _phase: PhaseFolder, _request: dict[str, Any]) -> Update | None:
    """The default of `Stage.update`: a folder of other settings is made anew, a finished one is left alone."""
    return None


def no_note(_manifest: StageManifest) -> str:
    """The default of `Stage.note`: the closing line has no further count."""
    return ""


@dataclass(frozen=True, slots=True)
class Stage(Generic[S]):
    """A stage of the pipeline.

    `inputs` name the stages whose folders it reads: the first is the flag --input, the others are flags of their names. `files`
    gives the user's own files that the settings name, so that their content counts as an input; `folders` the folders of
    finished stages that they name, by the name of the flag: each counts by its manifest, whatever its place in the list. `unit`
    names the items that it counts; `note` gives a further count for its closing line. `may_pass` are reasons of drops that are
    no answers: the same item may pass at another time, with the flag --retry-failed. `update` (call, first phase, what the
    folder is to be made from) gives the work that brings the folder's present content up to date, or None: then it is made
    anew, or is up to date.
    `explain_input` (folder, item, settings) says what the stage does to one item of its first input, and `explain_html` says it as
    an HTML page for the flag --html; `explain_output` (folder, item) says what its finished folder holds on one item: a stage with
    either has the flag --explain.
    """

    name: str
    settings: type[S]
    inputs: tuple[str, ...]
    work: Callable[[Call[S], PhaseFolder], StageResult]
    unit: str
    note: Callable[[StageManifest], str] = no_note
    may_pass: frozenset[str] = frozenset()
    update: Callable[[Call[S], PhaseFolder, dict[str, Any]], Update | None] = no_update
    files: Callable[[S], dict[str, Input]] = no_files
    folders: Callable[[S], dict[str, Sequence[str]]] = no_folders
    explain_input: Callable[[str, str, S], str] | None = None
    explain_html: Callable[[str, str, S], str] | None = None
    explain_output: Callable[[str, str], str] | None = None

    def run(self, call: Call[S]) -> StageManifest:
        """Run the stage, unless its manifest already matches. Raises InputError for what the user must correct.

        Every file that the settings name is opened and parsed first. Until then, and until the inputs are compared with their
        manifests, the output folder stays as it is. A local output folder is locked meanwhile. Object stores have no locks.
        """
        call = _reachable(call)
        check_files(call.settings)
        _check_output(call)
        with naming(*call.inputs.values(), *self.named_folders(call), call.output, *call.engine.also_read):
            return self._run_locked(call)

    def _run_locked(self, call: Call[S]) -> StageManifest:
        settings = to_manifest(call.settings)
        inputs = self.read_inputs(call)
        for folder in (*call.inputs.values(), *self.named_folders(call)):
            check_chain(folder)
        started = time.monotonic()
        _freeze_imports()
        with folder_lock(call.output) if is_local(call.output) else nullcontext():
            return self._run(call, settings, inputs, started)

    def read_inputs(self, call: Call[S]) -> dict[str, Input]:
        """All inputs of a run: the folders of earlier stages, the user's files, and the folders that the settings name."""
        return self._read_folders(call) | self.files(call.settings)

    def read_named_inputs(self, call: Call[S]) -> dict[str, Input]:
        """The inputs that the settings name: folders by their manifests, the user's files by their content."""
        return self._read_named_folders(call) | self.files(call.settings)

    def _read_folders(self, call: Call[S]) -> dict[str, Input]:
        inputs = {name: stage_input(folder, call.output) for name, folder in call.inputs.items()}
        return inputs | self._read_named_folders(call)

    def _read_named_folders(self, call: Call[S]) -> dict[str, Input]:
        named = [(flag, folder) for flag, folders in self.folders(call.settings).items() for folder in folders]
        entries = [(flag, stage_input(folder, call.output)) for flag, folder in named]
        return {f"{flag}_{entry.sha256[:16]}": entry for flag, entry in entries}

    def named_folders(self, call: Call[S]) -> list[str]:
        """The folders of finished stages that the settings name."""
        return [folder for folders in self.folders(call.settings).values() for folder in folders]

    def _check_unchanged(self, call: Call[S], inputs: dict[str, Input]) -> None:
        """Raise InputError where a folder that was read has been replaced meanwhile: what was read may be of both versions."""
        for name, entry in self._read_folders(call).items():
            if name not in inputs or inputs[name].sha256 != entry.sha256:
                raise InputError(
                    f"{call.output}: its input {entry.path} was replaced while '{self.name}' read it; run the same command again"
                )

    def _run(self, call: Call[S], settings: dict[str, Any], inputs: dict[str, Input], started: float) -> StageManifest:
        finish_closing(call.output)
        phase: PhaseFolder | None = PhaseFolder.first(self.name, call.output, settings, inputs)
        assert phase is not None
        update = self.update(call, phase, request_of(self.name, settings, inputs))
        if update is None:
            phase = find_work(self.name, call.output, settings, inputs, replace=call.engine.replace)
        if phase is None:
            manifest = StageManifest.load(call.output)
            logger.info("%s: up to date%s", self.name, self._passing(manifest.books))
            return manifest
        for folder in call.inputs.values():
            check_input(folder, call.engine.workers)
        with nullcontext() if update else begun_work(phase, settings, inputs):
            result = update() if update else self.work(call, phase)
            self._check_unchanged(call, inputs)
        manifest = close_stage(
            phase,
            settings,
            inputs,
            result.receipts,
            books=result.books,
            counters=result.counters,
            dataset=result.dataset,
            earlier=result.earlier,
        )
        seconds = time.monotonic() - started
        record_run(call.output, seconds, call.engine, result.receipts)
        logger.info("%s", self.summary(manifest, seconds))
        return manifest

    def summary(self, manifest: StageManifest, seconds: float) -> str:
        """`links: kept 120 of 300 submissions (110 distinct links), dropped 180 (100 self_post, 80 low_karma) in 2 s`.

        Drops that may pass are also counted apart. Where the stage dropped everything, the line also names the commonest reason.
        """
        books = manifest.books
        reasons = sorted(books.dropped.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{items:,} {reason}" for reason, items in reasons[:4]) + (", …" if len(reasons) > 4 else "")
        dropped = f", dropped {sum(books.dropped.values()):,} ({shown})" if reasons else ""
        note = f" ({text})" if (text := self.note(manifest)) else ""
        line = f"{self.name}: kept {books.items_out:,} of {books.items_in:,} {self.unit}{note}{dropped} in {seconds:.0f} s"
        if books.items_in and not books.items_out and reasons:
            line += f"; nothing is left, '{reasons[0][0]}' dropped most"
        return line + self._passing(books)

    def _passing(self, books: Books) -> str:
        """The number of drops that may pass, for the closing line."""
        items = sum(items for reason, items in books.dropped.items() if reason in self.may_pass)
        return f"; {items:,} of the drops may pass, --retry-failed asks them again" if items else ""


def _reachable(call: Call[S]) -> Call[S]:
    """The call with absolute paths where workers are elsewhere. Raises InputError for a local folder that they cannot share."""
    if call.engine.is_local:
        return call
    refuse_local(call.engine.runner or "", call.output, *call.inputs.values())
    return replace(call, inputs={name: absolute(path) for name, path in call.inputs.items()}, output=absolute(call.output))


def _check_output(call: Call[Any]) -> None:
    """Raise InputError where the output folder is among the inputs: replacing it would remove what is read."""
    for path in (*call.inputs.values(), *user_paths(call.settings)):
        if is_same(path, call.output):
            raise InputError(
                f"{call.output}: is an input and the --output; choose another --output, or leave it out of the inputs"
            )


@cache
def _freeze_imports() -> None:
    """Exempt imported objects from garbage collection: scanning them repeatedly took 3 to 5 % of the tokens stage."""
    gc.collect()
    gc.freeze()

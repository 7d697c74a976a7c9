"""What every stage has in common: name, settings, inputs, and the protocol around its work (open, work, close, say what came of it)."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipeline.engine import Engine, close_stage, open_stage, record_run
from pipeline.manifest import Books, Input, Manifest, stage_input
from pipeline.parts import Place, Receipt
from pipeline.settings import recorded
from pipeline.verification import check_input

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

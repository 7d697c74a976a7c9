"""Runs Beam pipelines: the local engine by name, any other by flag; progress, interruption, and the stage protocol around them.

The local engine is FnApiRunner itself: `DirectRunner` is a switch that tries to download another engine and falls back silently.
"""

import logging
import os
import platform
import shlex
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
import orjson
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline import files
from pipeline.files import InputError
from pipeline.interruption import heed_lost_workers
from pipeline.manifest import NAME, Books, Input, Manifest
from pipeline.parts import WORK_FOLDER, Part, Place, Receipt, Work, run_part, stands
from pipeline.worker import end_bundles_promptly

logger = logging.getLogger(__name__)

WORKER_PROCESS = SubprocessSDKEnvironment.from_command_string(f"exec {shlex.quote(sys.executable)} -m pipeline.worker")

LOG_EVERY_SECONDS = 30.0


T = TypeVar("T", bound=PipelineOptions)


class Options(PipelineOptions):
    """Beam's options, each view of them made once: it parses the flags anew, and Beam asks for eighty a pipeline, 40 ms."""

    def view_as(self, cls: type[T]) -> T:
        """The options as those of another class; what is set there is set here."""
        views: dict[type[T], T] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


@dataclass(frozen=True, slots=True)
class Engine:
    """Where pipelines run. `beam_flags` are Beam's own; `workers` are the local runner's processes."""

    workers: int = 1
    beam_flags: tuple[str, ...] = ()
    replace: bool = False
    worker: SubprocessSDKEnvironment = WORKER_PROCESS

    def __post_init__(self) -> None:
        """Files are read and written before the first pipeline: Beam's file systems must know the flags by then."""
        FileSystems.set_options(PipelineOptions(list(self.beam_flags)))

    @property
    def is_local(self) -> bool:
        """Whether its workers are processes here: a --runner among the flags wins over the local engine."""
        return not any(flag == "--runner" or flag.startswith("--runner=") for flag in self.beam_flags)

    def pipeline(self, parts: int) -> beam.Pipeline:
        """An empty pipeline for so many parts. No more local processes than parts: starting one costs seconds."""
        if not self.is_local:
            return beam.Pipeline(options=Options(list(self.beam_flags)))
        end_bundles_promptly()
        workers = max(1, min(self.workers, parts))
        options = Options([f"--direct_num_workers={workers}", *self.beam_flags])
        return beam.Pipeline(FnApiRunner(self.worker if workers > 1 else None), options)

    def run(self, build: Callable[[beam.Pipeline], object], parts: int = 2) -> None:
        """Build one pipeline of so many parts and wait for its end. Raises RuntimeError where it did not end well."""
        pipeline = self.pipeline(parts)
        build(pipeline)
        with heed_lost_workers():
            state = pipeline.run().wait_until_finish()
        if state not in (None, PipelineState.DONE):
            raise RuntimeError(f"the pipeline ended as {state}")

    def run_parts(
        self, place: Place, parts: Sequence[Part], transform: "beam.PTransform[Any, Any]", unit: str = "items"
    ) -> list[Receipt]:
        """Work the parts that have no receipt yet with `transform` (Parts in, keys of finished parts out); all receipts, by key.

        Raises InputError, or the OSError of a disk, where a part ended with one; then no further part is begun.
        """
        place.make()
        waiting = [part for part in parts if not stands(place, part.key)]
        if waiting:
            with _progress(place, parts, unit):
                self._run_waiting(place, waiting, transform)
        return [Receipt.load(place, part.key) for part in sorted(parts, key=lambda p: p.key)]

    def run_here(self, place: Place, parts: Sequence[Part], work: Work, unit: str = "items") -> list[Receipt]:
        """The same on threads of this process, as many as workers: what is small is done before a pipeline has begun.

        Raises what a part ended with; then no further part is begun.
        """
        place.make()
        waiting = [part for part in parts if not stands(place, part.key)]
        if waiting:
            with _progress(place, parts, unit), ThreadPoolExecutor(self.workers) as pool:
                working = [pool.submit(run_part, place, work, part) for part in waiting]
                try:
                    for one in as_completed(working):
                        one.result()
                finally:
                    pool.shutdown(cancel_futures=True)
        return [Receipt.load(place, part.key) for part in sorted(parts, key=lambda p: p.key)]

    def _run_waiting(self, place: Place, waiting: Sequence[Part], transform: "beam.PTransform[Any, Any]") -> None:
        try:
            self.run(lambda pipeline: pipeline | "Parts" >> beam.Create(list(waiting), reshuffle=False) | transform, len(waiting))
        except Exception as error:
            _raise_told(place, error)
            raise
        _raise_told(place, None)


def _raise_told(place: Place, cause: Exception | None) -> None:
    """What ended a part, as itself: a runner gives it another type, or none."""
    if told := place.told_errors():
        raise InputError(told[0]) from cause
    if numbers := place.disk_errors():
        raise OSError(numbers[0], os.strerror(numbers[0]), place.folder) from cause


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


@contextmanager
def _progress(place: Place, parts: Sequence[Part], unit: str) -> Any:
    """While the block runs: a line with items, rate and time left on a terminal, a log line every 30 s elsewhere."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(place, parts, unit, done), name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(place: Place, parts: Sequence[Part], unit: str, done: threading.Event) -> None:
    terminal = sys.stderr.isatty()
    total = sum(part.items for part in parts)
    started = time.monotonic()
    before = _items_done(place, parts)
    while not done.wait(0.5 if terminal else LOG_EVERY_SECONDS):
        now = _items_done(place, parts)
        line = progress_line(
            f"{place.stage} {place.phase}".removesuffix(" main"),
            now,
            total,
            now - before,
            time.monotonic() - started,
            unit,
        )
        if terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        else:
            logger.info("%s", line)
    if terminal:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def progress_line(name: str, done: int, total: int, new: int, seconds: float, unit: str) -> str:
    """`documents: 1,200 of 4,000 pages, 61/s, 46 s left`."""
    rate = new / seconds if seconds > 0 else 0.0
    left = f", {_duration((total - done) / rate)} left" if rate > 0 and total > done else ""
    return f"{name}: {done:,} of {total:,} {unit}, {rate:,.0f}/s{left}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _items_done(place: Place, parts: Sequence[Part]) -> int:
    """Finished parts' items and the running ones' own word; none is known of a folder that is not local."""
    if not files.is_local(place.folder):
        return 0
    items = 0
    for part in parts:
        if Path(place.receipt_path(part.key)).exists():
            items += part.items
            continue
        try:
            items += min(part.items, int(Path(place.progress_path(part.key)).read_text() or 0))
        except (OSError, ValueError):
            continue
    return items

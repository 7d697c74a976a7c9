"""Runs Beam pipelines: the local engine by name, any other by flag; progress, interruption, and the stage protocol around them.

The local engine is FnApiRunner itself: `DirectRunner` is a switch that tries to download another engine and falls back silently.
"""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engine.execute import Work, run_part
from pipeline.engine.interruption import heed_lost_workers
from pipeline.engine.parts import Part, Place, Receipt, stands
from pipeline.engine.progress import progress
from pipeline.engine.worker import end_bundles_promptly
from pipeline.storage.files import InputError

logger = logging.getLogger(__name__)

WORKER_PROCESS = SubprocessSDKEnvironment.from_command_string(f"exec {shlex.quote(sys.executable)} -m pipeline.engine.worker")


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
            with progress(place, parts, unit):
                self._run_waiting(place, waiting, transform)
        return [Receipt.load(place, part.key) for part in sorted(parts, key=lambda p: p.key)]

    def run_here(self, place: Place, parts: Sequence[Part], work: Work, unit: str = "items") -> list[Receipt]:
        """The same on threads of this process, as many as workers: what is small is done before a pipeline has begun.

        Raises what a part ended with; then no further part is begun.
        """
        place.make()
        waiting = [part for part in parts if not stands(place, part.key)]
        if waiting:
            with progress(place, parts, unit), ThreadPoolExecutor(self.workers) as pool:
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

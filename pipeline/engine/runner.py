"""Runs a stage's parts: on threads, on local worker processes, or on any Beam runner that a flag names.

The local engine is FnApiRunner itself: `DirectRunner` tries to download another engine and falls back silently.
"""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engine.execute import Work, run_part
from pipeline.engine.interruption import heed_lost_workers
from pipeline.engine.parts import Part, PhaseFolder, Receipt, is_done
from pipeline.engine.private_sockets import private_servers
from pipeline.engine.progress import progress
from pipeline.engine.transform import RunParts
from pipeline.engine.worker import end_bundles_promptly
from tokenizer.errors import InputError

LOCAL_RUNNER = FnApiRunner.__name__
WORKER_PROCESS = SubprocessSDKEnvironment.from_command_string(f"exec {shlex.quote(sys.executable)} -m pipeline.engine.worker")

T = TypeVar("T", bound=PipelineOptions)
W = TypeVar("W")


class Options(PipelineOptions):
    """Beam's options, with each view made once: making one parses all flags, and Beam asks for eighty per pipeline (40 ms)."""

    def view_as(self, cls: type[T]) -> T:
        """The options as those of another class; values set there are set here."""
        views: dict[type[T], T] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


class LocalRunner(FnApiRunner):
    """Beam's local engine, whose worker processes are always this package's and reach it over private sockets."""

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> RunnerResult:
        """Run the pipeline to its end."""
        options.view_as(DirectOptions).direct_running_mode = None  # Beam's own workers would listen on all interfaces
        with private_servers() if isinstance(self._default_environment, SubprocessSDKEnvironment) else nullcontext():
            return super().run_pipeline(pipeline, options)


def is_local_runner(name: str | None) -> bool:
    """Whether a --runner, or none, stands for the local engine."""
    return name is None or name.rpartition(".")[2].lower() == LOCAL_RUNNER.lower()


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a stage's parts run. `beam_flags` are Beam's own flags; `workers` is the number of local processes or threads."""

    workers: int = 1
    beam_flags: tuple[str, ...] = ()
    replace: bool = False
    worker: SubprocessSDKEnvironment = WORKER_PROCESS

    def __post_init__(self) -> None:
        """Give Beam's file systems the flags: files are read and written before the first pipeline."""
        FileSystems.set_options(PipelineOptions(list(self.beam_flags)))

    @property
    def is_local(self) -> bool:
        """Whether workers are processes of this machine: no --runner among the flags, or the local engine's own name."""
        return is_local_runner(PipelineOptions(list(self.beam_flags)).view_as(StandardOptions).runner)

    def work(
        self, phase: PhaseFolder, parts: Sequence[Part[W]], work: Work[W], unit: str = "items", *, light: bool = False
    ) -> list[Receipt]:
        """Run `work` for the parts that have no receipt; the receipts of all parts, sorted by key.

        The engine chooses how: threads of this process where the work is `light` (it costs less than a pipeline's start, 0.15 s)
        or a local engine has one part to run; else a Beam pipeline, on local worker processes or on the runner that the flags
        name. `unit` names the parts' items on the progress line. Raises InputError, or a disk's OSError, where a part ended with
        one; no further part is started.
        """
        phase.create()
        waiting = [part for part in parts if not is_done(phase, part.key)]
        if waiting:
            with progress(phase, parts, unit):
                if self._needs_pipeline(len(waiting), light=light):
                    self._run_in_pipeline(phase, waiting, work)
                else:
                    self._run_on_threads(phase, waiting, work)
        return [Receipt.load(phase, part.key) for part in sorted(parts, key=lambda part: part.key)]

    def run(self, build: Callable[[beam.Pipeline], object], parts: int = 2) -> None:
        """Build one pipeline for `parts` parts and wait for its end. Raises RuntimeError where it did not end well."""
        pipeline = self.pipeline(parts)
        build(pipeline)
        with heed_lost_workers():
            state = pipeline.run().wait_until_finish()
        if state not in (None, PipelineState.DONE):
            raise RuntimeError(f"the pipeline ended as {state}")

    def pipeline(self, parts: int) -> beam.Pipeline:
        """An empty pipeline. It gets no more local processes than parts: starting one costs seconds."""
        if not self.is_local:
            return beam.Pipeline(options=Options(list(self.beam_flags)))
        end_bundles_promptly()
        workers = max(1, min(self.workers, parts))
        options = Options([f"--direct_num_workers={workers}", *self.beam_flags])
        return beam.Pipeline(LocalRunner(self.worker if workers > 1 else None), options)

    def _needs_pipeline(self, parts: int, *, light: bool) -> bool:
        return not light and not (self.is_local and parts == 1)

    def _run_on_threads(self, phase: PhaseFolder, waiting: Sequence[Part[W]], work: Work[W]) -> None:
        with ThreadPoolExecutor(self.workers) as pool:
            running = [pool.submit(run_part, phase, work, part) for part in waiting]
            try:
                for finished in as_completed(running):
                    finished.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _run_in_pipeline(self, phase: PhaseFolder, waiting: Sequence[Part[Any]], work: Work[Any]) -> None:
        def build(pipeline: beam.Pipeline) -> object:
            create = beam.Create(list(waiting), reshuffle=False).with_output_types(Part[Any])
            return pipeline | "Parts" >> create | RunParts(phase, work)

        try:
            self.run(build, len(waiting))
        except Exception as error:
            _raise_recorded(phase, error)
            raise
        _raise_recorded(phase, None)


def _raise_recorded(phase: PhaseFolder, cause: Exception | None) -> None:
    """Raise the error that ended a part, with its own type: a runner gives it another one, or none."""
    if lines := phase.input_errors():
        raise InputError(lines[0]) from cause
    if numbers := phase.disk_errors():
        raise OSError(numbers[0], os.strerror(numbers[0]), phase.folder) from cause

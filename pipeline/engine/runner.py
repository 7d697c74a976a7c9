"""Runs a stage's parts: on threads, on local worker processes, or on any Beam runner that a flag names.

The local engine is FnApiRunner itself: `DirectRunner` tries to download another engine and falls back silently. Beam is imported
when it is first needed: that takes a second, which most commands do not need.
"""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.engine.execute import Work, run_part
from pipeline.engine.interruption import heed_lost_workers
from pipeline.engine.parts import Part, PhaseFolder, Receipt, done_keys, load_receipts
from pipeline.engine.progress import progress
from pipeline.engine.shared_folders import WAY_OUT, SharedFolder, raise_unshared
from pipeline.storage.remote import set_beam_flags
from tokenizer.errors import InputError, OutageError

if TYPE_CHECKING:
    import apache_beam as beam

logger = logging.getLogger(__name__)

LOCAL_RUNNER = "FnApiRunner"
WORKER_PROCESS = f"exec {shlex.quote(sys.executable)} -m pipeline.engine.worker"
"""Command of a local worker process."""

W = TypeVar("W")


def is_local_runner(name: str | None) -> bool:
    """Whether a --runner, or none, stands for the local engine."""
    return name is None or name.rpartition(".")[2].lower() == LOCAL_RUNNER.lower()


@dataclass(frozen=True, slots=True)
class Engine:
    """Where a stage's parts run. `beam_flags` are Beam's own flags; `workers` is the number of local processes or threads.

    `worker` is the command of a local worker process. `also_read` are folders elsewhere that manifests may name as inputs.
    """

    workers: int = 1
    beam_flags: tuple[str, ...] = ()
    replace: bool = False
    worker: str = WORKER_PROCESS
    also_read: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Give Beam's file systems the flags: files are read and written before the first pipeline."""
        if self.beam_flags:
            set_beam_flags(self.beam_flags)

    @property
    def is_local(self) -> bool:
        """Whether workers are processes of this machine: no --runner among the flags, or the local engine's own name."""
        return is_local_runner(self.runner)

    @property
    def runner(self) -> str | None:
        """The --runner among the flags, in lower case without its module."""
        if not self.beam_flags:
            return None
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

        name = PipelineOptions(list(self.beam_flags)).view_as(StandardOptions).runner
        return None if name is None else name.rpartition(".")[2].lower()

    def work(
        self, phase: PhaseFolder, parts: Sequence[Part[W]], work: Work[W], unit: str = "items", *, light: bool = False
    ) -> list[Receipt]:
        """Run `work` for the parts that have no receipt; the receipts of all parts, sorted by key.

        The engine chooses how: threads of this process where the work is `light` (it costs less than a pipeline's start, 0.15 s)
        or a local engine has one part to run; else a Beam pipeline, on local worker processes or on the runner that the flags
        name. `unit` names the parts' items on the progress line. Raises InputError, OutageError or a disk's OSError where a part
        ended with one; no further part is started.
        """
        phase.create()
        done = done_keys(phase, (part.key for part in parts))
        waiting = [part for part in parts if part.key not in done]
        if waiting:
            logger.debug("%s %s: %d of %d parts to do", phase.stage, phase.name, len(waiting), len(parts))
            with progress(phase, parts, unit):
                if self._needs_pipeline(len(waiting), light=light):
                    self._run_in_pipeline(phase, waiting, work)
                else:
                    self._run_on_threads(phase, waiting, work)
        try:
            return load_receipts(phase, sorted(part.key for part in parts))
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: a worker did this part, but not there; {WAY_OUT}") from error

    def run(self, build: "Callable[[beam.Pipeline], object]", parts: int = 2) -> None:
        """Build one pipeline for `parts` parts and wait for its end. Raises RuntimeError where it did not end well."""
        from apache_beam.runners.runner import PipelineState

        pipeline = self.pipeline(parts)
        build(pipeline)
        with heed_lost_workers():
            state = pipeline.run().wait_until_finish()
        if state not in (None, PipelineState.DONE):
            raise RuntimeError(f"the pipeline ended as {state}")

    def pipeline(self, parts: int) -> "beam.Pipeline":
        """An empty pipeline. It gets no more local processes than parts: starting one costs seconds."""
        from pipeline.engine.local_runner import local_pipeline, remote_pipeline

        if not self.is_local:
            return remote_pipeline(self.beam_flags)
        return local_pipeline(max(1, min(self.workers, parts)), self.worker, self.beam_flags)

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
        import apache_beam as beam

        from pipeline.engine.transform import RunParts

        def build(pipeline: beam.Pipeline) -> object:
            create = beam.Create(list(waiting), reshuffle=False).with_output_types(Part[Any])
            return pipeline | "Parts" >> create | RunParts(phase, work, shared)

        shared = None if self.is_local else SharedFolder.of(phase)
        try:
            self.run(build, len(waiting))
        except Exception as error:
            _raise_recorded(phase, error)
            if not self.is_local:
                raise_unshared(error)
            raise
        _raise_recorded(phase, None)


def _raise_recorded(phase: PhaseFolder, cause: Exception | None) -> None:
    """Raise the error that ended a part, with its own type: a runner gives it another one, or none."""
    if lines := phase.input_errors():
        raise InputError(lines[0]) from cause
    if lines := phase.outages():
        raise OutageError(lines[0]) from cause
    if numbers := phase.disk_errors():
        raise OSError(numbers[0], os.strerror(numbers[0]), phase.folder) from cause

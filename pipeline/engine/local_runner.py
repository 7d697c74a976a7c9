"""Beam pipelines: on this machine, over private sockets, or on the runner that a flag names."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engine.private_sockets import private_servers
from pipeline.engine.worker import end_bundles_promptly

T = TypeVar("T", bound=PipelineOptions)


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


def local_pipeline(workers: int, command: str, flags: Sequence[str] = ()) -> beam.Pipeline:
    """An empty pipeline for this machine: in this process, or on `workers` processes that `command` starts if there are several."""
    end_bundles_promptly()
    options = Options([f"--direct_num_workers={workers}", *flags])
    environment = SubprocessSDKEnvironment.from_command_string(command) if workers > 1 else None
    return beam.Pipeline(LocalRunner(environment), options)


def remote_pipeline(flags: Sequence[str]) -> beam.Pipeline:
    """An empty pipeline for the runner that the flags name."""
    return beam.Pipeline(options=Options(list(flags)))

"""The engine: which runners are local, how many worker processes do the work, and Beam's options."""

import argparse
import os
import pickle
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from pipeline.cli.beam_flags import add_engine_arguments, parse
from pipeline.engine.local_runner import Options
from pipeline.engine.parts import Part, numbered
from pipeline.engine.runner import Engine
from pipeline.engine.stage_folder import open_stage
from pipeline.engine.worker_pool import persistent_workers
from pipeline.engine.writer import PartWriter

DOTTED = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--runner", "FnApiRunner"),
        ("--runner=FnApiRunner",),
        ("--runner=fnapirunner",),
        ("--runner", "FNAPIRUNNER"),
        (f"--runner={DOTTED}",),
        ("--runner", DOTTED),
        ("--job_name=a", "--runner=FnApiRunner"),
    ],
    ids=" ".join,
)
def test_the_local_engine_is_local_whether_named_or_not(flags: tuple[str, ...]) -> None:
    assert Engine(beam_flags=flags).is_local


@pytest.mark.parametrize(
    "name", ["DataflowRunner", "FlinkRunner", "PortableRunner", "PrismRunner", "SparkRunner", "DirectRunner", "NotFnApiRunner"]
)
def test_other_runners_are_not_local(name: str) -> None:
    assert not Engine(beam_flags=(f"--runner={name}",)).is_local
    assert not Engine(beam_flags=("--runner", name)).is_local


def test_the_last_runner_flag_counts() -> None:
    assert Engine(beam_flags=("--runner=DataflowRunner", "--runner=FnApiRunner")).is_local
    assert not Engine(beam_flags=("--runner=FnApiRunner", "--runner=DataflowRunner")).is_local


def engine_of(*argv: str) -> Engine:
    """The engine of a command line."""
    parser = argparse.ArgumentParser()
    add_engine_arguments(parser)
    return parse(parser, argv)[1]


def meet(part: Part[str], writer: PartWriter) -> None:
    """Note this process, and wait until another one has noted itself: two parts end only if two processes work at once."""
    Path(part.work, str(os.getpid())).touch()
    for _ in range(600):
        if len(list(Path(part.work).iterdir())) > 1:
            return
        time.sleep(0.1)
    raise TimeoutError("no other process works")


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_two_workers_of_a_named_local_runner_are_two_processes(tmp_path: Path, *, persistent: bool) -> None:
    """As the Airflow DAG starts a stage: it always names the runner."""
    engine = engine_of("--runner=FnApiRunner", "--workers", "2")
    assert (engine.workers, engine.beam_flags) == (2, ("--runner=FnApiRunner",))
    processes = tmp_path / "processes"
    processes.mkdir()
    phase = open_stage("meeting", str(tmp_path / "out"), {}, {}, replace=False)
    assert phase is not None
    with persistent_workers(engine, 2 if persistent else 1) as workers:
        workers.work(phase, numbered([str(processes)] * 2), meet)
    ids = {path.name for path in processes.iterdir()}
    assert len(ids) == 2
    assert str(os.getpid()) not in ids


def test_a_pipeline_has_no_more_processes_than_parts() -> None:
    def processes(parts: int) -> object:
        pipeline: beam.Pipeline = Engine(workers=4).pipeline(parts)
        return pipeline.options.get_all_options()["direct_num_workers"]

    assert [processes(parts) for parts in (0, 1, 3, 9)] == [1, 1, 3, 4]


def test_option_views_are_made_once_and_share_values() -> None:
    options = Options(["--runner=FlinkRunner", "--type_check_additional=all"])
    view = options.view_as(StandardOptions)
    view.streaming = True
    assert options.view_as(StandardOptions) is view
    assert options.view_as(TypeOptions).view_as(StandardOptions).streaming
    assert options.get_all_options()["streaming"]
    assert (
        options.get_all_options()
        == PipelineOptions(["--runner=FlinkRunner", "--type_check_additional=all", "--streaming"]).get_all_options()
    )


def test_options_keep_their_values_when_pickled() -> None:
    options = Options(["--runner=FlinkRunner"])
    options.view_as(StandardOptions).streaming = True
    copy = pickle.loads(pickle.dumps(options))
    assert copy.view_as(StandardOptions).streaming
    assert copy.view_as(StandardOptions).runner == "FlinkRunner"

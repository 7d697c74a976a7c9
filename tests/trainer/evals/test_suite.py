import json
import math
from pathlib import Path

import pytest
from evals_stubs import ByteTokenizer, uniform, write_tokens

from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS
from trainer.evals.results import Provenance, Result
from trainer.evals.suite import Suite
from trainer.evals.task import Task
from trainer.evals.tasks import held_out

TEXTS = ("in the beginning was the word", "éclair", "a")
PROVENANCE = Provenance("run", "c" * 64, 10, 300, "bytes", "fp32", "cpu", "d" * 40)


@pytest.fixture
def tokens_folder(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens", TEXTS, ByteTokenizer())


def test_a_finished_task_is_kept_until_its_settings_change(tokens_folder: Path, tmp_path: Path) -> None:
    runs = []

    def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
        runs.append(paths)
        return held_out.run(candidate, paths)

    task = Task("held_out", "", (), run, reads_tokens=True)
    suite = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tokens_folder], tmp_path / "out")
    first, second = suite.run([task]), suite.run([task])
    assert (len(runs), first) == (1, second)
    other = Suite(Candidate(uniform(), ByteTokenizer(), strides=(5,)), PROVENANCE, [tokens_folder], tmp_path / "out")
    other.run([task])
    assert len(runs) == 2


def test_a_second_run_skips_tasks_finished_before_an_interrupt(tokens_folder: Path, tmp_path: Path) -> None:
    runs = []

    def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
        runs.append("good")
        return held_out.run(candidate, paths)

    def interrupted(_candidate: Candidate, _paths: list[Path]) -> list[Result]:
        raise KeyboardInterrupt

    good = Task("good", "", (), run, reads_tokens=True)
    suite = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tokens_folder], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        suite.run([good, Task("late", "", (), interrupted, reads_tokens=True)])
    evaluation = suite.run([good, Task("late", "", (), run, reads_tokens=True)])
    assert runs == ["good", "good"]
    assert [record.task for record in evaluation.records] == ["good", "late"]


def test_a_task_without_data_is_skipped_with_a_reason(tokens_folder: Path, tmp_path: Path) -> None:
    evaluation = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tmp_path], None).run([TASKS["held_out"]])
    assert evaluation.skipped == {"held_out": "no folder of token shards among --data"}


FAULTS = (
    IndexError("list index out of range"),
    ZeroDivisionError("division by zero"),
    RuntimeError("size mismatch"),
    KeyError("x"),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_fault_in_a_task_costs_no_other_task(tokens_folder: Path, tmp_path: Path, fault: Exception) -> None:
    def broken(_candidate: Candidate, _paths: list[Path]) -> list[Result]:
        raise fault

    tasks = [
        Task("first", "", (), held_out.run, reads_tokens=True),
        Task("broken", "", (), broken, reads_tokens=True),
        Task("last", "", (), held_out.run, reads_tokens=True),
    ]
    evaluation = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tokens_folder], tmp_path / "out").run(tasks)
    assert [record.task for record in evaluation.records] == ["first", "last"]
    assert evaluation.faults == {"broken": f"{type(fault).__name__}: {fault}"}
    assert evaluation.unexpected == ("broken",)


def test_a_figure_that_is_not_finite_is_recorded_and_kept(tokens_folder: Path, tmp_path: Path) -> None:
    def diverged(_candidate: Candidate, _paths: list[Path]) -> list[Result]:
        return [Result("diverged", "perplexity", math.nan, None, 1, "", "")]

    suite = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tokens_folder], tmp_path / "out")
    task = Task("diverged", "", (), diverged, reads_tokens=True)
    suite.run([task])
    body = json.loads((tmp_path / "out/tasks/diverged.json").read_text(), parse_constant=pytest.fail)
    assert body["results"][0]["value"] is None
    (record,) = suite.run([task]).records
    assert math.isnan(record.results[0].value)

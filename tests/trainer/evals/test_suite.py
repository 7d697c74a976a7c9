import json
import math
import os
from pathlib import Path
from typing import Any

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


RECORD_CHANGES: tuple[dict[str, Any], ...] = (
    {"results": 7}, {"results": [[]]}, {"results": [{"task": 1}]}, {"files": [7]}, {"files": None}, {"seconds": "7"}, {"task": []},
    {"task": "another"}, {"fingerprint": None}, {"fingerprint": "0"}, {"results": None}, {"seconds": [[[]]]},
)  # fmt: skip


def suite_with_record(tokens_folder: Path, out: Path) -> tuple[Suite, Task, list[int], Path]:
    """A suite, a task that counts its runs, and the record of its first."""
    runs: list[int] = []

    def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
        runs.append(1)
        return held_out.run(candidate, paths)

    task = Task("held_out", "", (), run, reads_tokens=True)
    suite = Suite(Candidate(uniform(), ByteTokenizer()), PROVENANCE, [tokens_folder], out)
    suite.run([task])
    return suite, task, runs, out / "tasks" / "held_out.json"


def test_a_record_of_another_content_is_evaluated_again(tokens_folder: Path, tmp_path: Path) -> None:
    suite, task, runs, path = suite_with_record(tokens_folder, tmp_path / "out")
    whole = json.loads(path.read_bytes())
    texts = [b"", b"[]", b"7", b"\xff", b"[" * 99_999, *(json.dumps({**whole, **change}).encode() for change in RECORD_CHANGES)]
    results = [
        {**whole, "results": [{**whole["results"][0], **change}]}
        for change in ({"value": "7"}, {"value": []}, {"examples": -1}, {"examples": 10**18}, {"protocol": None}, {"metric": 7})
    ]
    for text in [*texts, *(json.dumps(result).encode() for result in results)]:
        path.write_bytes(text)
        before = len(runs)
        evaluation = suite.run([task])
        assert (len(runs), evaluation.faults) == (before + 1, {}), text[:80]
        assert json.loads(path.read_bytes())["fingerprint"] == whole["fingerprint"]


@pytest.mark.parametrize("kind", ["FIFO", "folder", "device", "link out", "link to itself", "large"])
def test_a_record_of_another_kind_of_file_is_refused(tokens_folder: Path, tmp_path: Path, kind: str) -> None:
    suite, task, runs, path = suite_with_record(tokens_folder, tmp_path / "out")
    path.unlink()
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.touch()
        os.truncate(path, 1 << 30)
    else:
        path.symlink_to({"device": "/dev/zero", "link out": "/etc/hostname", "link to itself": path.name}[kind])
    evaluation = suite.run([task])
    assert (len(runs), evaluation.unexpected) == (1, ())
    assert "not a record of an evaluation" in evaluation.faults["held_out"]

"""Runs side by side: time left, a worker that dies, and how many go at once."""

import io
import json
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from trainer.compare.plan import OUTPUT, Plan, TrialRun
from trainer.compare.schedule import RunsProgress, default_jobs, default_threads, perform_all


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_said_once_a_run_has_finished() -> None:
    stream = io.StringIO()
    progress = RunsProgress(60, 2, stream, clock=Clock())
    progress.show("training")
    assert "left" not in stream.getvalue()
    progress.end(TrialRun(0, 1), None)
    progress.show("a failed", force=True)
    assert stream.getvalue().endswith("compare: 1 of 60 runs  a failed\n")
    progress.end(TrialRun(0, 2), 10.0)
    progress.end(TrialRun(0, 3), 20.0)
    progress.show("a", force=True)
    assert stream.getvalue().endswith("compare: 3 of 60 runs  a  7:15 left\n")
    progress.seconds += [15.0] * 57
    assert progress.left_seconds() == 0


@pytest.mark.parametrize("jobs", [1, 2, 3, 7, 60, 64])
@pytest.mark.parametrize("failing", [0, 4])
def test_the_time_left_is_right_whenever_it_is_said(jobs: int, failing: int) -> None:
    """Runs of equal length on any number of places; those that fail do so at once, and make no other run look shorter."""
    clock, length, runs = Clock(), 30.0, [TrialRun(0, seed) for seed in range(60)]
    progress = RunsProgress(len(runs), jobs, io.StringIO(), clock=clock)
    waiting, under_way = deque(runs), dict[TrialRun, float]()
    said = list[tuple[float, float]]()
    while waiting or under_way:
        while waiting and len(under_way) < jobs:
            run = waiting.popleft()
            progress.begin(run)
            under_way[run] = clock.now + (length if run.seed >= failing else 0.0) + 0.001 * run.seed
        run, clock.now = min(under_way.items(), key=itemgetter(1))
        del under_way[run]
        progress.end(run, length if run.seed >= failing else None)
        left = progress.left_seconds()
        assert (left is None) == (not progress.seconds)
        if left is not None:
            said.append((clock.now, left))
    assert said
    assert all(at + left == pytest.approx(clock.now, abs=length / 10) for at, left in said)


def test_a_run_under_way_has_a_part_of_its_time_behind_it() -> None:
    clock = Clock()
    progress = RunsProgress(3, 1, io.StringIO(), [40.0], clock=clock)
    progress.begin(TrialRun(0, 2))
    clock.now += 30
    assert progress.left_seconds() == 10 + 40
    clock.now += 30
    assert progress.left_seconds() == 40, "one that takes longer than others is taken to end now"


def test_a_line_elsewhere_than_on_a_terminal_comes_rarely() -> None:
    stream = io.StringIO()
    progress = RunsProgress(10, 1, stream)
    for _ in range(50):
        progress.show("x")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("parameters", "gpus", "cores", "jobs"), [(1_000_000, 0, 8, 8), (124_000_000, 0, 8, 1), (124_000_000, 4, 64, 4), (1, 1, 2, 1)]
)
def test_as_many_runs_as_devices(parameters: int, gpus: int, cores: int, jobs: int) -> None:
    assert default_jobs(parameters, gpus, cores) == jobs


def test_a_small_network_gets_one_thread_however_few_runs_go_at_once() -> None:
    """More threads than free cores wait for each other: on a busy machine a step took thirty times as long."""
    assert default_threads(1_000_000, 1, 8) == default_threads(1_000_000, 8, 8) == 1
    assert default_threads(124_000_000, 1, 8) == 8
    assert default_threads(124_000_000, 3, 8) == 2


WORKER = """
import json, os, signal, sys
from pathlib import Path
from typing import Any
out = Path({out!r})
for line in sys.stdin:
    run = json.loads(line)
    if run["seed"] == 2:
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if run["seed"] == 3:
        print("failed the reason", flush=True)
        continue
    folder = out / "runs" / f"c{{run['corpus']}}-{{run['seed']}}"
    folder.mkdir(parents=True)
    (folder / "scores.npz").touch()
    (folder / "run.json").write_text(json.dumps({{"seconds": 1.0}}))
    print("done", flush=True)
"""


def test_a_worker_that_dies_loses_only_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "worker.py"
    program.write_text(WORKER.format(out=str(tmp_path)))
    plan = object.__new__(Plan)
    monkeypatch.setattr(TrialRun, "folder", lambda self, _plan, out: out / "runs" / f"c{self.corpus}-{self.seed}")
    object.__setattr__(plan, "threads", 1)
    real = subprocess.Popen

    def start(_words: list[str], **options: Any) -> Any:
        return real([sys.executable, str(program)], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    runs = [TrialRun(0, seed) for seed in range(1, 7)]
    failures = perform_all(plan, runs, tmp_path, jobs=2, gpus=0)
    assert {run.seed for run in failures} == {2, 3}
    assert "last words" in failures[TrialRun(0, 2)]
    assert OUTPUT in failures[TrialRun(0, 2)]
    assert failures[TrialRun(0, 3)] == "the reason"
    done = {json.loads(path.read_text())["seconds"] for path in tmp_path.glob("runs/*/run.json")}
    assert done == {1.0}
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 4

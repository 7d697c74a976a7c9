"""Runs side by side: time left, a worker that dies, and how many go at once."""

import io
import json
import random
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
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
    assert stream.getvalue().endswith("compare: 3 of 60 runs  a  7:21 left\n")
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


def ratios_of(durations: Sequence[float], jobs: int) -> dict[int, float]:
    """By the number of runs that have ended: the time left that is said, as a multiple of what it then takes."""
    clock = Clock()
    progress = RunsProgress(len(durations), jobs, io.StringIO(), clock=clock)
    waiting, under_way, said = (
        deque(enumerate(durations)),
        dict[TrialRun, tuple[float, float]](),
        dict[int, tuple[float, float]](),
    )
    while waiting or under_way:
        while waiting and len(under_way) < jobs:
            number, seconds = waiting.popleft()
            progress.begin(run := TrialRun(0, number))
            under_way[run] = clock.now + seconds, seconds
        run, (clock.now, seconds) = min(under_way.items(), key=itemgetter(1))
        del under_way[run]
        progress.end(run, seconds)
        left = progress.left_seconds()
        assert left is not None
        said[progress.ended] = clock.now, left
    return {ended: left / (clock.now - at) for ended, (at, left) in said.items() if at < clock.now}


def lengths(shape: Callable[[int], float], seed: int) -> list[float]:
    """Seconds of 60 runs, with noise of 10 %."""
    draw = random.Random(seed)
    return [30.0 * shape(number) * draw.lognormvariate(0, 0.1) for number in range(60)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("jobs", [1, 2, 4])
@pytest.mark.parametrize(
    ("shape", "since", "low", "high"),
    [
        (lambda _: 1.0, 8, 0.83, 1.15),
        (lambda number: 2.5 if number < 2 else 1.0, 20, 0.85, 1.20),
        (lambda number: 2.0 if number >= 20 else 1.0, 40, 0.78, 1.10),
        (lambda number: 1.0 if number >= 20 else 2.0, 40, 0.90, 1.28),
        (lambda number: 1 + number / 60, 12, 0.60, 1.00),
        (lambda number: 2 - number / 60, 12, 1.00, 1.55),
    ],
    ids=["steady", "a slow start", "a step up at 20", "a step down at 20", "a drift up to twice", "a drift down to half"],
)
def test_the_time_left_follows_the_load(
    shape: Callable[[int], float], since: int, low: float, high: float, jobs: int, seed: int
) -> None:
    """From the run `since` on until 48 have ended, it is within these bounds of what it then takes.

    A drift goes on after the estimate, which does not look ahead; the mean of all runs would lag twice as far behind.
    """
    said = {ended: ratio for ended, ratio in ratios_of(lengths(shape, seed), jobs).items() if since <= ended <= 48}
    assert len(said) == 49 - since
    assert all(low <= ratio <= high for ratio in said.values()), said


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_slow_first_run_of_each_worker_is_soon_forgotten(jobs: int) -> None:
    said = ratios_of([60.0] * jobs + [30.0] * (60 - jobs), jobs)
    assert said[jobs] > 1.9, "nothing else is known yet"
    assert all(ratio == pytest.approx(1, abs=0.02) for ended, ratio in said.items() if ended >= 2 * jobs and ended % jobs == 0)


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

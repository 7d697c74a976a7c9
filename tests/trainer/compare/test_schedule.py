"""Runs side by side: time left, a worker that dies, and how many go at once."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.compare.plan import OUTPUT, Plan, TrialRun
from trainer.compare.schedule import RunsProgress, default_jobs, perform_all


def test_the_time_left_is_said_once_a_run_is_finished_and_counts_waves_of_jobs() -> None:
    stream = io.StringIO()
    progress = RunsProgress(60, 2, stream)
    progress.show("training")
    assert "left" not in stream.getvalue()
    progress.seconds += [10.0, 20.0]
    assert progress.left_seconds() == 15.0 * 29
    progress.show("a", force=True)
    assert stream.getvalue().endswith("compare: 2 of 60 runs  a  7:15 left\n")
    progress.seconds += [15.0] * 58
    assert progress.left_seconds() == 0


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

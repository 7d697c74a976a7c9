"""TensorBoard and W&B. Their optional packages come from a separate environment; without it, the tests skip."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import peers
from trainer import cli

Command = Callable[..., list[str]]

WITH_TRACKERS = """
import sys
sys.path.append(sys.argv[1])
import warnings
warnings.simplefilter("ignore")
from trainer import cli
sys.exit(cli.main(sys.argv[2:]))
"""

TRACKERS = ("tensorboard==2.21.0", "wandb==0.31.0")
READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
print(json.dumps({tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""


@pytest.fixture(scope="module")
def home() -> Path:
    """Environment with both packages."""
    python = peers.installed("trackers", *TRACKERS)
    if python is None:
        pytest.skip(f"no trackers: python benchmarks/peers.py trackers {' '.join(TRACKERS)}")
    return python.parents[1]


def run_with_trackers(home: Path, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    (packages,) = home.glob("lib/python*/site-packages")
    line = [sys.executable, "-c", WITH_TRACKERS, str(packages), *command]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=300, check=False, env={**environment, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_tensorboard_gets_the_numbers_of_the_log(home: Path, small_run: Command, tmp_path: Path) -> None:
    first = small_run("run", "--steps=4", "--tensorboard")
    done = run_with_trackers(home, first)
    assert done.returncode == 0, done.stderr
    read = subprocess.run(
        [str(home / "bin/python"), "-c", READ, str(tmp_path / "run/tensorboard")], capture_output=True, text=True, check=True
    )
    curves = json.loads(read.stdout)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()[1:]]
    for name in ("loss", "grad_norm", "lr", "val_loss"):
        logged = [(line["step"], line[name]) for line in lines if name in line]
        assert [step for step, _ in curves[name]] == [step for step, _ in logged]
        assert [value for _, value in curves[name]] == pytest.approx([value for _, value in logged], rel=1e-6)


@pytest.mark.slow
def test_wandb_records_a_run_offline(home: Path, small_run: Command, tmp_path: Path) -> None:
    command = small_run("run", "--steps=4", "--wandb=webtext")
    done = run_with_trackers(home, command, WANDB_MODE="offline", WANDB_SILENT="true", HOME=str(tmp_path), PATH="/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "run/wandb").glob("offline-run-*/run-*.wandb")
    data = record.read_bytes()
    assert b"grad_norm" in data
    assert b"val_loss" in data


@pytest.mark.parametrize(("flag", "package"), [("--tensorboard", "tensorboard"), ("--wandb=x", "wandb")])
def test_a_missing_package_is_reported_before_anything_is_written(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, package: str
) -> None:
    assert cli.main(small_run("run", flag)) == 2
    assert f"the package {package} is not installed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

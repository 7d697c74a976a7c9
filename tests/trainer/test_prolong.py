"""More steps for a run: from its newest checkpoint, or with WSD from before its decay; never from other settings."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer import cli
from trainer.checkpoint.folders import checkpoints, folder_of, prune, step_of
from trainer.config import TrainConfig
from trainer.optim import learning_rate_at
from trainer.prolong import grows

Command = Callable[..., list[str]]
WSD = ("--schedule=wsd", "--decay-fraction=0.4")


def log_of(run: Path) -> dict[int, dict[str, float]]:
    """The lines of the log with a loss, by step."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


def test_wsd_is_prolonged_from_before_its_decay(small_run: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Prolonged, the run is the one that was planned so long from the start."""
    caplog.set_level("INFO")
    short = small_run("run", *WSD, "--steps=10", "--checkpoint-every=100")
    assert cli.main(short) == 0
    assert [step_of(path) for path in checkpoints(tmp_path / "run")] == [6, 10]
    assert cli.main(small_run("run", *WSD, "--steps=20", "--checkpoint-every=100")) == 0
    assert "going on from before the decay" in caplog.text
    assert cli.main(small_run("whole", *WSD, "--steps=20", "--checkpoint-every=100")) == 0
    prolonged, whole = log_of(tmp_path / "run"), log_of(tmp_path / "whole")
    assert prolonged.keys() == whole.keys() == set(range(1, 21))
    assert [prolonged[step]["loss"] for step in prolonged] == [whole[step]["loss"] for step in whole]
    assert [prolonged[step]["lr"] for step in prolonged] == [whole[step]["lr"] for step in whole]
    assert (tmp_path / "run/checkpoints/decayed_step_00000010").is_dir()


def test_a_stable_checkpoint_that_is_gone_is_named(
    small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(small_run("run", *WSD, "--steps=10")) == 0
    for path in checkpoints(tmp_path / "run"):
        if step_of(path) <= 6:
            path.rename(tmp_path / path.name)
    before = checkpoints(tmp_path / "run")
    capsys.readouterr()
    assert cli.main(small_run("run", *WSD, "--steps=20")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be prolonged: its decay began at step 6" in line
    assert "--init-from" in line
    assert checkpoints(tmp_path / "run") == before


def test_a_cosine_goes_on(small_run: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert cli.main(small_run("run", "--steps=5")) == 0
    assert cli.main(small_run("run", "--steps=8")) == 0
    assert "5 steps become 8; from here on the cosine is theirs" in caplog.text
    rates = {step: line["lr"] for step, line in log_of(tmp_path / "run").items()}
    assert list(rates) == list(range(1, 9))
    config = TrainConfig.from_json(json.loads((tmp_path / "run/config.json").read_text())["config"])
    assert config.steps == 8
    assert rates[8] == pytest.approx(learning_rate_at(config, 7) * config.learning_rate)


@pytest.mark.parametrize(
    ("changes", "grown"),
    [({"steps": 11}, True), ({"steps": 9}, False), ({}, False), ({"steps": 20, "seed": 2}, False), ({"seed": 2}, False)],
)
def test_a_run_grows_by_its_steps_alone(changes: dict[str, int], grown: bool) -> None:
    before = TrainConfig(steps=10)
    assert grows(before.with_options(**changes), before) == grown


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 999])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.6, 1.0])
def test_the_rate_is_constant_up_to_the_stable_step_of_any_length(steps: int, fraction: float) -> None:
    config = TrainConfig(steps=steps, schedule="wsd", decay_fraction=fraction, warmup_steps=0)
    assert all(learning_rate_at(config, step) == 1 for step in range(config.stable_steps))
    assert learning_rate_at(config, config.stable_steps + 1) < 1 or config.stable_steps + 1 >= steps
    assert TrainConfig(steps=steps).stable_steps == 0


def test_pruning_keeps_the_stable_checkpoint(tmp_path: Path) -> None:
    for step in range(1, 10):
        folder_of(tmp_path, step).mkdir(parents=True)
    prune(tmp_path, 2, best=3, stable_steps=5)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [3, 5, 8, 9]

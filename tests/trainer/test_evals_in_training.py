import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main

Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]


def lines(run: Path) -> dict[int, list[dict[str, Any]]]:
    """Step to the results of the examination after it."""
    found = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["evaluation"] for line in found if "evaluation" in line}


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    folder = tmp_path / "evals"
    folder.mkdir()
    passages = [{"text": f"the value of the {word} is a {word}"} for word in ("list", "name", "class", "type", "set")]
    (folder / "lambada_test.jsonl").write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    return folder


def test_the_log_holds_every_result_with_its_protocol(small_run: Callable[..., list[str]], evals: Path, tmp_path: Path) -> None:
    asked = ["--eval-tasks", "lambada", "held_out", "ptb", "--eval-data", str(evals), "--eval-every=12", "--eval-limit=4"]
    assert main([*small_run("run"), *asked]) == 0
    found = lines(tmp_path / "run")
    assert list(found) == [12, 24, 30]  # at the intervals and after the last step
    by_metric = {(r["task"], r["metric"], r["protocol"]): r for r in found[30]}
    assert {task for task, _, _ in by_metric} == {"lambada", "held_out"}  # ptb.test.txt is not there
    assert all(r["examples"] in (1, 4) for r in found[30] if "unigram" not in r["metric"])
    nats = [next(r["value"] for r in found[step] if r["metric"] == "nats per token") for step in (12, 30)]
    assert nats[1] < nats[0] < 6


def test_training_does_not_notice(small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, losses: Losses) -> None:
    dropout = ["--steps=12", "--dropout=0.1"]
    assert main([*small_run("without"), *dropout]) == 0
    asked = ["--eval-tasks", "lambada", "natural_questions", "--eval-data", str(evals), "--eval-every=5"]
    assert main([*small_run("with"), *dropout, *asked]) == 0
    plain = [line for line in losses(tmp_path / "without") if line[1:] != (None, None)]
    assert [line for line in losses(tmp_path / "with") if line[1:] != (None, None)] == plain


def test_a_malformed_file_costs_a_line_and_not_the_run(
    small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (evals / "lambada_test.jsonl").write_text('{"text": "a b"}\n{"text": \n')
    assert main([*small_run("run"), "--steps=3", "--eval-tasks", "lambada", "--eval-data", str(evals)]) == 0
    assert "line 2: not JSON" in caplog.text
    assert lines(tmp_path / "run") == {3: []}


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (["--eval-tasks", "sing"], "sing: no such task"),
        (["--eval-tasks", "lambada", "--eval-data", "/missing"], "--data /missing: no such folder"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_the_first_step(
    small_run: Callable[..., list[str]], asked: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_run("run"), *asked]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_ranks_share_the_examples(small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, strategy: str) -> None:
    asked = [
        "--steps=4",
        "--precision=fp32",
        "--eval-tasks",
        "lambada",
        "held_out",
        "--eval-data",
        str(evals),
        "--eval-limit=200",
    ]
    assert main([*small_run("alone"), *asked]) == 0
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [*launcher, "-m", "trainer", *small_run("two", f"--strategy={strategy}"), *asked]
    subprocess.run(command, check=True, timeout=300, env=environment)
    alone, two = (lines(tmp_path / name)[4] for name in ("alone", "two"))
    assert [r["value"] for r in two] == pytest.approx([r["value"] for r in alone], rel=1e-4)
    assert [r["examples"] for r in two] == [r["examples"] for r in alone]

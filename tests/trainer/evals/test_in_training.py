import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main
from trainer.evals import registry

Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]


def lines(run: Path) -> dict[int, list[dict[str, Any]]]:
    """Map each step to the results of the evaluation after it."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["evaluation"] for line in rows if "evaluation" in line}


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    folder = tmp_path / "evals"
    folder.mkdir()
    passages = [{"text": f"the value of the {word} is a {word}"} for word in ("list", "name", "class", "type", "set")]
    (folder / "lambada_test.jsonl").write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    return folder


def test_the_log_holds_every_result_with_its_protocol(small_run: Callable[..., list[str]], evals: Path, tmp_path: Path) -> None:
    flags = ["--eval-tasks", "lambada", "held_out", "ptb", "--eval-data", str(evals), "--eval-every=12", "--eval-limit=4"]
    assert main([*small_run("run"), *flags]) == 0
    results = lines(tmp_path / "run")
    assert list(results) == [12, 24, 30]  # at the intervals and after the last step
    by_metric = {(r["task"], r["metric"], r["protocol"]): r for r in results[30]}
    assert {task for task, _, _ in by_metric} == {"lambada", "held_out"}  # ptb.test.txt is not there
    assert all(r["examples"] in (1, 4) for r in results[30] if "unigram" not in r["metric"])
    nats = [next(r["value"] for r in results[step] if r["metric"] == "nats per token") for step in (12, 30)]
    assert nats[1] < nats[0] < 6


def test_evaluation_does_not_change_training(
    small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, losses: Losses
) -> None:
    dropout = ["--steps=12", "--dropout=0.1"]
    assert main([*small_run("without"), *dropout]) == 0
    flags = ["--eval-tasks", "lambada", "natural_questions", "--eval-data", str(evals), "--eval-every=5"]
    assert main([*small_run("with"), *dropout, *flags]) == 0
    plain = [line for line in losses(tmp_path / "without") if line[1:] != (None, None)]
    assert [line for line in losses(tmp_path / "with") if line[1:] != (None, None)] == plain


def test_a_malformed_file_is_refused_before_training(
    small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, message in ((b'{"text": "a b"}\n{"text": \n', "line 2: not JSON"), (b"", "empty"), (b"\xff\xfe\n", "not UTF-8")):
        (evals / "lambada_test.jsonl").write_bytes(content)
        assert main([*small_run("run"), "--steps=3", "--eval-tasks", "lambada", "--eval-data", str(evals)]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_records_of_another_kind_are_logged_and_training_continues(
    small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (evals / "lambada_test.jsonl").write_text('{"text": "a b"}\n{"words": "a b"}\n')
    assert main([*small_run("run"), "--steps=3", "--eval-tasks", "lambada", "--eval-data", str(evals)]) == 0
    assert "a record needs 'text'" in caplog.text
    assert lines(tmp_path / "run") == {3: []}


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--eval-tasks", "sing"], "sing: no such task"),
        (["--eval-tasks", "lambada", "--eval-data", "/missing"], "--data /missing: no such folder"),
    ],
)
def test_unknown_tasks_and_folders_are_rejected_before_the_first_step(
    small_run: Callable[..., list[str]], flags: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*small_run("run"), *flags]) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"] if os.environ.get("WEBTEXT_FULL") else ["fsdp"])
def test_ranks_share_the_examples(small_run: Callable[..., list[str]], evals: Path, tmp_path: Path, strategy: str) -> None:
    flags = [
        "--steps=4",
        "--precision=fp32",
        "--eval-tasks",
        "lambada",
        "held_out",
        "--eval-data",
        str(evals),
        "--eval-limit=200",
    ]
    assert main([*small_run("alone"), *flags]) == 0
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [*launcher, "-m", "trainer", *small_run("two", f"--strategy={strategy}"), *flags]
    subprocess.run(command, check=True, timeout=300, env=environment)
    alone, two = (lines(tmp_path / name)[4] for name in ("alone", "two"))
    assert [r["value"] for r in two] == pytest.approx([r["value"] for r in alone], rel=1e-4)
    assert [r["examples"] for r in two] == [r["examples"] for r in alone]


def test_a_fault_in_a_task_ends_neither_training_nor_the_other_tasks(
    small_run: Callable[..., list[str]],
    evals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_candidate: Any, _paths: list[Path]) -> list[Any]:
        raise IndexError("list index out of range")

    monkeypatch.setitem(registry.TASKS, "lambada", replace(registry.TASKS["lambada"], run=broken))
    flags = ["--steps=3", "--eval-tasks", "lambada", "held_out", "--eval-data", str(evals), "--eval-limit=2"]
    assert main([*small_run("run"), *flags]) == 0
    assert {row["task"] for row in lines(tmp_path / "run")[3]} == {"held_out"}
    assert "lambada: failed; training goes on" in caplog.text
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step_00000003"]

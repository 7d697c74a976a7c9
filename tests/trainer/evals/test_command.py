import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evals_stubs import write_tokens

from tokenizer.codec import Tokenizer
from trainer.config import ModelConfig
from trainer.evals import command
from trainer.export import save_hf
from trainer.model import GPT


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Exported folder of an untrained network with one token per byte."""
    tokenizer = Tokenizer([])
    gpt = GPT(ModelConfig(layers=1, heads=2, width=16, context=64, vocabulary=tokenizer.vocab_size))
    gpt.init_weights(1)
    return save_hf(gpt, tokenizer, tmp_path / "run")


def evaluate(*argv: object) -> int:
    return command.main([str(item) for item in argv])


def test_a_run_is_evaluated_and_reported(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    out = tmp_path / "out"
    assert evaluate(run_folder, "--tasks", "held_out", "--data", tokens, "--out", out) == 0
    data = json.loads((out / "results.json").read_text())
    values = {row["metric"]: row for row in data["results"]}
    assert values["nats per token"]["value"] == pytest.approx(math.log(257), abs=0.3)
    assert values["perplexity"]["checkpoint"] == "run"
    assert values["perplexity"]["window_tokens"] == 64
    assert len(values["perplexity"]["checkpoint_sha256"]) == 64
    assert "GPT-2 1542M" in (out / "report.md").read_text()
    assert "<table>" in (out / "report.html").read_text()


def test_a_second_evaluation_gives_equal_results(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    for name in ("a", "b"):
        evaluate(run_folder, "--tasks", "held_out", "--data", tokens, "--out", tmp_path / name)
    first, second = (json.loads((tmp_path / name / "results.json").read_text())["results"] for name in ("a", "b"))
    assert [row["value"] for row in first] == [row["value"] for row in second]


def test_bad_data_fails_its_own_task_only(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    (tmp_path / "lambada_test.jsonl").write_text('{"text": "a b"}\n{"text": \n')
    out = tmp_path / "out"
    assert evaluate(run_folder, "--tasks", "lambada", "held_out", "summaries", "--data", tokens, tmp_path, "--out", out) == 2
    data = json.loads((out / "results.json").read_text())
    assert {row["task"] for row in data["results"]} == {"held_out"}
    assert "line 2: not JSON" in data["faults"]["lambada"]
    assert data["skipped"] == {"summaries": "it writes 100 tokens, and the model's context is 64"}
    assert "Failed:" in (out / "report.md").read_text()


@pytest.mark.slow
def test_finished_tasks_survive_a_keyboard_interrupt(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    sentence = "the cat sat on the mat "
    (tmp_path / "enwik8").write_text(sentence * 20_000)  # too long to finish before the signal arrives
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trainer", "eval", str(run_folder), "--tasks", "held_out", "enwik8", "--stride", "1"]
    command += ["--data", str(tokens), str(tmp_path), "--out", str(out), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        try:
            while not (out / "tasks" / "held_out.json").exists():
                assert first.poll() is None
                time.sleep(0.01)
            first.send_signal(signal.SIGINT)
            _, errors = first.communicate(timeout=60)
        finally:
            first.kill()
    assert (first.returncode, errors.splitlines()[-1]) == (
        130,
        "interrupted; finished tasks are kept: run the same command again to continue",
    )
    assert not (out / "results.json").exists()
    (tmp_path / "enwik8").write_text(sentence * 60)
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "held_out: kept from an earlier run" in again.stderr
    assert {row["task"] for row in json.loads((out / "results.json").read_text())["results"]} == {"held_out", "enwik8"}


@pytest.mark.slow
def test_results_do_not_depend_on_batch_size_and_ranks(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 40, Tokenizer([]))
    wsc = tmp_path / "WSCollection.xml"
    wsc.write_text(
        "<c>" + "".join(
            f"<schema><text><txt1>Number {i} met him because</txt1><pron>he</pron><txt2>was {i * i}.</txt2></text>"
            "<answers><answer>One</answer><answer>Another</answer></answers><correctAnswer>A</correctAnswer></schema>"
            for i in range(9)
        ) + "</c>"
    )  # fmt: skip
    passages = [{"text": f"number {i} is known as number {i}"} for i in range(9)]
    (tmp_path / "lambada_test.jsonl").write_text("".join(json.dumps(passage) + "\n" for passage in passages))
    questions = [{"question": f"what is {i}", "answer": [str(i)]} for i in range(9)]
    (tmp_path / "NQ-open.dev.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    choice = {"activity_label": "A", "ctx_a": "He went.", "ctx_b": "then", "endings": ["a bit", "bat", "c", "dog"], "label": 1}
    (tmp_path / "hellaswag_val.jsonl").write_text("".join(json.dumps(choice | {"ctx_a": "He." * i}) + "\n" for i in range(1, 9)))
    tasks = ["held_out", "winograd", "lambada", "natural_questions", "hellaswag"]
    common = [str(run_folder), "--tasks", *tasks, "--data", str(tokens), str(tmp_path), "--device", "cpu"]
    evaluate(*common, "--out", tmp_path / "whole")
    evaluate(*common, "--out", tmp_path / "single", "--batch-tokens", 1)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--standalone",
        "-m",
        "trainer",
        "eval",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([*launcher, *common, "--out", str(tmp_path / "ranks")], check=True, timeout=300, env=environment)
    values = {}
    for name in ("whole", "single", "ranks"):
        values[name] = [row["value"] for row in json.loads((tmp_path / name / "results.json").read_text())["results"]]
    assert len(values["whole"]) == 16
    assert values["single"] == pytest.approx(values["whole"], rel=1e-6)
    assert values["ranks"] == pytest.approx(values["whole"], rel=1e-6)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nowhere"], "nowhere"),
        ([], "no checkpoint"),
        (["x", "--tasks", "sing"], "sing: no such task; there are held_out, trained_on, lambada"),
        (["x", "--data", "/missing"], "--data /missing: no such folder"),
    ],
)
def test_bad_usage_is_reported_in_one_line(argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(argv) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_where_needs_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--where"]) == 0
    assert "held_out" in capsys.readouterr().out

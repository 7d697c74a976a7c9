import json
import math
from pathlib import Path

import pytest
from evals_stubs import write_tokens

from tokenizer.codec import Tokenizer
from trainer import checkpoint
from trainer.config import ModelConfig, TrainConfig
from trainer.distributed import World
from trainer.evals import command
from trainer.model import GPT


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of an untrained network whose tokens are bytes."""
    tokenizer = Tokenizer([])
    shape = ModelConfig(layers=1, heads=2, width=16, context=64, vocabulary=tokenizer.vocab_size)
    config = TrainConfig(model=shape, batch_tokens=64)
    gpt = GPT(shape)
    gpt.initialise(1)
    facts = checkpoint.Facts(7, 448, 1, "corpus", tokenizer.sha256, config)
    weights = {name: weight.detach() for name, weight in gpt.named_parameters()}
    checkpoint.save(tmp_path / "run", facts, {"model": weights}, tokenizer, World())
    return tmp_path / "run"


def evaluate(*argv: object) -> int:
    return command.main([str(item) for item in argv])


def test_a_run_is_examined_and_the_report_written(run_folder: Path, tmp_path: Path) -> None:
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


def test_two_runs_give_the_same_numbers(run_folder: Path, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    for name in ("a", "b"):
        evaluate(run_folder, "--tasks", "held_out", "--data", tokens, "--out", tmp_path / name)
    first, second = (json.loads((tmp_path / name / "results.json").read_text())["results"] for name in ("a", "b"))
    assert [row["value"] for row in first] == [row["value"] for row in second]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nowhere"], "nowhere"),
        ([], "which checkpoint"),
        (["x", "--tasks", "sing"], "sing: no such task; there are held_out"),
        (["x", "--data", "/missing"], "--data /missing: no such folder"),
    ],
)
def test_bad_usage_gets_one_line(argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(argv) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_where_needs_no_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--where"]) == 0
    assert "held_out" in capsys.readouterr().out

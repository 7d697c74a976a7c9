"""Figures 1 and 4 of the paper for a set of checkpoints."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from evals_stubs import write_tokens

from tokenizer.codec import Tokenizer
from trainer.config import ModelConfig
from trainer.evals import command
from trainer.evals.curves import curves
from trainer.evals.results import Provenance, Result, TaskRecord
from trainer.evals.suite import CheckpointEvaluation
from trainer.export import save_hf
from trainer.model import GPT


def evaluation(name: str, parameters: int, step: int | None = None, **values: float) -> CheckpointEvaluation:
    records = []
    for task, value in values.items():
        metric = "accuracy, %" if task == "winograd" else "perplexity"
        result = Result(task, metric, value, None, 5, "", "", stride_tokens=64, row="winograd" if task == "winograd" else None)
        records.append(TaskRecord(task, (result,), (), 1.0, ""))
    about = Provenance(name, "c" * 64, parameters, step, "t", "fp32", "cpu", "d" * 40)
    return CheckpointEvaluation(about, tuple(records), {})


def test_metrics_are_plotted_over_parameters_with_the_papers_figures() -> None:
    panels = curves([evaluation("b", 200, winograd=61.0), evaluation("a", 100, winograd=55.0)])
    (curve,) = panels
    assert (curve.axis, curve.series["ours"]) == ("parameters", [(100.0, 55.0), (200.0, 61.0)])
    assert curve.series["GPT-2 (paper)"] == [(1_557_611_200.0, 70.70)]
    assert curve.series["before GPT-2 (paper)"] == [(100.0, 63.7), (1_557_611_200.0, 63.7)]


def test_training_and_test_text_share_a_panel() -> None:
    (curve,) = curves([evaluation(n, p, held_out=v, trained_on=v - 3) for n, p, v in (("a", 100, 30.0), ("b", 200, 20.0))])
    assert curve.series == {"ours": [(100.0, 30.0), (200.0, 20.0)], "training text": [(100.0, 27.0), (200.0, 17.0)]}
    assert curve.logarithmic


def test_checkpoints_of_one_run_are_plotted_over_steps() -> None:
    (curve,) = curves([evaluation("b", 100, 40, winograd=61.0), evaluation("a", 100, 20, winograd=55.0)])
    assert (curve.axis, curve.series) == ("steps", {"ours": [(20.0, 55.0), (40.0, 61.0)]})


def test_one_checkpoint_has_no_curve() -> None:
    assert curves([evaluation("a", 100, winograd=50.0)]) == []


@pytest.fixture
def sizes(tmp_path: Path) -> list[str]:
    tokenizer = Tokenizer([])
    folders = []
    for width in (8, 16):
        gpt = GPT(ModelConfig(layers=1, heads=2, width=width, context=64, vocabulary=tokenizer.vocab_size))
        gpt.init_weights(1)
        folders.append(str(save_hf(gpt, tokenizer, tmp_path / f"width{width}")))
    return folders


def test_several_checkpoints_share_one_report(sizes: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = write_tokens(tmp_path / "tokens", ["to be or not to be"] * 20, Tokenizer([]))
    out = tmp_path / "out"
    assert command.main([*sizes, "--tasks", "held_out", "--data", str(tokens), "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"\n{out / 'report.html'}\n")
    data = json.loads((out / "results.json").read_text())
    assert [about["checkpoint"] for about in data["checkpoints"]] == ["width8", "width16"]
    assert {row["checkpoint"] for row in data["results"]} == {"width8", "width16"}
    assert [name for name, points in data["curves"][0]["series"].items() if len(points) == 2] == ["ours"]
    assert "| task | metric | width8 | width16 |" in (out / "report.md").read_text()
    assert "![](curve-1.svg)" in (out / "report.md").read_text()
    ElementTree.parse(out / "curve-1.svg")
    page = (out / "report.html").read_text()
    assert page.count('<img alt="Held-out text: perplexity" src="data:image/svg+xml;base64,') == 1
    assert "http" not in page
    assert ".curves img { filter: invert" in page
    assert (out / "width8" / "tasks" / "held_out.json").exists()


def test_two_checkpoints_with_one_name_are_rejected(sizes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([sizes[0], sizes[0]]) == 2
    assert "two checkpoints have one name" in capsys.readouterr().err

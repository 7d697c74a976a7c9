"""A signal is answered between two micro-batches and between two tasks, and what is saved is a whole step."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tokenizer.codec import Tokenizer
from trainer import cli, loop
from trainer.config import ModelConfig
from trainer.data import MicroBatch
from trainer.evals.in_training import InTrainingEvaluator
from trainer.evals.task import Task
from trainer.loop import Trainer
from trainer.model import GPT

Command = Callable[..., list[str]]


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    (file,) = (run / "checkpoints" / f"step_{step:08d}" / "model").glob("*.safetensors")
    return load_file(file)


def test_a_step_is_given_up_between_two_micro_batches(
    small_run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ("--steps=6", "--checkpoint-every=3", "--keep=9", "--micro-batch=2")
    assert cli.main(small_run("whole", *whole)) == 0
    inner, ran = Trainer._loss, []

    def loss(trainer: Trainer, batch: MicroBatch, network: torch.nn.Module, *window: int | None) -> torch.Tensor:
        if trainer.state.step == 4 and torch.is_grad_enabled():
            ran.append(len(batch.inputs))
            trainer.stop.requested = True
        return inner(trainer, batch, network, *window)

    monkeypatch.setattr(loop.Trainer, "_loss", loss)
    assert cli.main(small_run("stopped", *whole)) == 75
    assert len(ran) == 2, "of the step's 8 micro-batches: all ranks hear of the signal one exchange later"
    assert "stopped and saved at step 4" in capsys.readouterr().err
    monkeypatch.setattr(loop.Trainer, "_loss", inner)
    assert cli.main(small_run("stopped", *whole)) == 0
    expected, found = weights(tmp_path / "whole", 6), weights(tmp_path / "stopped", 6)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_tasks_that_are_left_are_not_run_after_a_signal(byte_tokenizer: Tokenizer) -> None:
    ran: list[str] = []

    def task(name: str) -> Task:
        return Task(name, "", (), lambda _candidate, _paths: ran.append(name) or [])  # type: ignore[func-returns-value]

    tasks = ((task("first"), ()), (task("second"), ()))
    evaluator = InTrainingEvaluator(tasks, byte_tokenizer, "fp32", 1, None)
    model = GPT(ModelConfig(layers=1, heads=1, width=8, context=8, vocabulary=257))
    assert evaluator.evaluate(model, lambda: bool(ran)) == []
    assert ran == ["first"]

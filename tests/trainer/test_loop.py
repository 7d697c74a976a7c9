"""Training runs: learning, bitwise repeatability, resuming after kills and signals, and stopping on divergence."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from tokenizer.codec import Tokenizer
from trainer import cli, distributed, loop
from trainer.data import TokenDataset
from trainer.distributed import World
from trainer.loop import Trainer
from trainer.presets import tiny

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
KILLS = 3 if os.environ.get("WEBTEXT_FULL") else 1


def weights(run: Path, step: int = 30) -> dict[str, torch.Tensor]:
    (file,) = (run / f"checkpoints/step_{step:08d}/model").iterdir()
    return load_file(file)


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_loss_falls_and_a_repeated_run_gives_the_same_bits(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert cli.main(small_run(name, "--learning-rate=0.01")) == 0
    one = losses(tmp_path / "one")
    assert one == losses(tmp_path / "two")
    assert are_equal(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert one[0][1] > 5.4
    assert one[-1][2] < 3.6


def test_a_finished_run_is_up_to_date(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(small_run("run", "--steps=3")) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    capsys.readouterr()
    assert cli.main(small_run("run", "--steps=3")) == 0
    assert "up to date" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}


def test_resuming_on_another_device_is_logged(
    small_run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def devices() -> list[tuple[int, str]]:
        lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
        return [(line["step"], line["device"]) for line in lines if "device" in line]

    run = small_run("run", "--steps=4", "--checkpoint-every=1", "--keep=9")
    assert cli.main(run) == 0
    here = World().device_description
    assert devices() == [(0, here)]
    for step in (3, 4):
        shutil.rmtree(tmp_path / f"run/checkpoints/step_{step:08d}")
    monkeypatch.setattr(World, "device_description", "CPU, DEFAULT, 2 threads")
    assert cli.main(run) == 0
    assert devices() == [(0, here), (2, "CPU, DEFAULT, 2 threads")]
    assert f"earlier steps ran on {here}, the following run on CPU, DEFAULT, 2 threads" in caplog.text


@pytest.mark.slow
def test_kills_at_random_moments_do_not_change_the_result(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    assert cli.main(small_run("whole", "--dropout=0.1")) == 0
    kills, draw = 0, random.Random(1)
    while kills < KILLS:
        lines = draw.randrange(1, 14)
        command = [sys.executable, "-m", "trainer", *small_run("killed", "--dropout=0.1", "--checkpoint-every=2")]
        if not killed_after(command, tmp_path / "killed/log.jsonl", lines):
            break
        kills += 1
    assert kills == KILLS
    assert cli.main(small_run("killed", "--dropout=0.1", "--checkpoint-every=2")) == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert are_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))


def killed_after(command: list[str], log: Path, lines: int) -> bool:
    """Start the command and kill it with SIGKILL once its log has grown by `lines` lines. False if it ended before."""
    goal = (len(log.read_text().splitlines()) if log.exists() else 0) + lines
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if log.exists() and len(log.read_text().splitlines()) >= goal:
                process.kill()
                return True
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
    assert process.returncode == 0
    return False


DYING = """
import os, signal, sys
from trainer import cli
from trainer.checkpoint import save, tensors
inner, calls = {place}, []
def die(*arguments):
    calls.append(arguments)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*arguments)
{place} = die
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_kills_while_saving_do_not_change_the_result(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    assert cli.main(small_run("whole", "--dropout=0.1")) == 0
    words = small_run("killed", "--dropout=0.1")
    for place, call in (("tensors.HuggingFaceStorageWriter.write_data", 4), ("save._publish", 2), ("save._sync", 12)):
        command = [sys.executable, "-c", DYING.format(place=place, call=call), *words]
        assert subprocess.run(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
        assert list((tmp_path / "killed/checkpoints").glob(".*.aside"))
    assert cli.main(words) == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert are_equal(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert not list((tmp_path / "killed/checkpoints").glob(".*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_saves_a_checkpoint_and_the_same_command_continues(
    small_run: Command, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    assert cli.main(small_run("whole")) == 0
    inner = Trainer._step

    def step(trainer: Trainer, batches: list[loop.MicroBatch]) -> tuple[torch.Tensor, torch.Tensor, float]:
        if trainer.state.step == 7:
            os.kill(os.getpid(), number)
        return inner(trainer, batches)

    monkeypatch.setattr(Trainer, "_step", step)
    assert cli.main(small_run("stopped", "--checkpoint-every=100")) == code
    assert len(losses(tmp_path / "stopped")) < 15
    monkeypatch.undo()
    assert cli.main(small_run("stopped", "--checkpoint-every=100")) == 0
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


def test_bad_gradients_are_skipped_until_the_skip_limit_stops_the_run(
    small_run: Command, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = Trainer._loss

    def loss(trainer: Trainer, batch: loop.MicroBatch, network: torch.nn.Module, *window: int | None) -> torch.Tensor:
        return inner(trainer, batch, network, *window) * (
            float("nan") if trainer.state.step >= 6 and torch.is_grad_enabled() else 1.0
        )

    monkeypatch.setattr(Trainer, "_loss", loss)
    assert cli.main(small_run("run", "--skip-limit=4", "--checkpoint-every=3", "--keep=9", "--validate-every=2")) == 1
    assert "stopped at step 10" in capsys.readouterr().err
    assert are_equal(weights(tmp_path / "run", 6), weights(tmp_path / "run", 9))
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["skipped_in_a_row"] for line in lines if "skipped_in_a_row" in line] == [1, 2, 3, 4]


def test_a_skip_between_two_log_lines_is_reported_in_the_next(
    small_run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Trainer._loss

    def loss(trainer: Trainer, batch: loop.MicroBatch, network: torch.nn.Module, *window: int | None) -> torch.Tensor:
        return inner(trainer, batch, network, *window) * (
            float("nan") if trainer.state.step in (3, 4) and torch.is_grad_enabled() else 1.0
        )

    monkeypatch.setattr(Trainer, "_loss", loss)
    assert cli.main(small_run("run", "--log-every=10", "--steps=20")) == 0
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    skips = [(line["step"], line["skipped"], line["skipped_in_a_row"]) for line in lines if "skipped" in line]
    assert skips == [(10, 2, 0)]


def test_the_newest_and_the_best_checkpoints_are_kept(small_run: Command, tmp_path: Path) -> None:
    assert cli.main(small_run("run", "--keep=2")) == 0
    kept = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert kept[-2:] == ["step_00000025", "step_00000030"]
    metadata = json.loads((tmp_path / "run/checkpoints/step_00000030/checkpoint.json").read_text())
    assert metadata["best_step"] in (10, 20, 30)
    assert f"step_{metadata['best_step']:08d}" in kept


def test_document_masks_change_the_loss(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    for name, flag in (("masked", "--document-mask"), ("plain", "--no-document-mask")):
        assert cli.main(small_run(name, flag, "--steps=4", "--precision=fp32")) == 0
    assert losses(tmp_path / "masked") != losses(tmp_path / "plain")


def test_a_run_can_start_from_another_networks_weights(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    assert cli.main(small_run("first")) == 0
    assert cli.main(["export", str(tmp_path / "first"), str(tmp_path / "hf")]) == 0
    assert cli.main(small_run("second", "--steps=2", "--init-from", str(tmp_path / "hf"), "--learning-rate=1e-9")) == 0
    assert losses(tmp_path / "second")[-1][2] == pytest.approx(losses(tmp_path / "first")[-1][2], abs=1e-3)


def test_losses_agree_across_precisions(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    ends = {}
    for precision in ("fp64", "fp32", "bf16"):
        assert cli.main(small_run(precision, f"--precision={precision}", "--steps=10")) == 0
        ends[precision] = losses(tmp_path / precision)[-1][2]
    assert ends["fp32"] == pytest.approx(ends["fp64"], abs=1e-4)
    assert ends["bf16"] == pytest.approx(ends["fp64"], abs=2e-2)


class CountsCasts(TorchDispatchMode):
    """Counts casts to bf16 of each size, and paddings of the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.casts: Counter[int] = Counter()
        self.paddings = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func == torch.ops.aten._to_copy.default and result.dtype == torch.bfloat16:
            self.casts[result.numel()] += 1
        self.paddings += func == torch.ops.aten.constant_pad_nd.default
        return result


def test_a_validation_casts_and_pads_each_weight_once(corpus_folder: Path, byte_tokenizer: Tokenizer, tmp_path: Path) -> None:
    config = tiny().with_options(
        vocabulary=257, layers=3, width=48, context=32, batch_tokens=256, precision="bf16", validation_tokens=2048
    )
    trainer = Trainer(config, TokenDataset.open(corpus_folder), byte_tokenizer, tmp_path, World())
    with CountsCasts() as counts:
        first = trainer.validate()
    assert counts.paddings == 1
    assert counts.casts[48 * 4 * 48] == 2 * 3, "each block's two matrices of the feed-forward layer, for 8 micro-batches"
    assert trainer.validate() == first
    with torch.no_grad():
        trainer.model.token_embedding.weight.add_(0.1)
    assert trainer.validate() != first, "no cast outlives the validation"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside torch's compiler
def test_steps_and_validations_cause_no_recompilation(
    small_run: Command, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "replaced")
    words = ("--layers=1", "--steps=50", "--validate-every=20", "--document-mask", "--precision=fp32")
    assert cli.main(small_run("compiled", "--compile", *words)) == 0
    assert cli.main(small_run("plain", *words)) == 0
    assert losses(tmp_path / "compiled")[-1][2] == pytest.approx(losses(tmp_path / "plain")[-1][2], abs=2e-3)
    assert (Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]) / "proven").exists()


def test_a_single_rank_needs_no_process_group() -> None:
    assert distributed.environment("cpu").ranks == 1

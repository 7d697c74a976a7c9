"""Ranks over gloo: whatever their number and however they share the network, the run is the same."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
EACH_STEP = ("--micro-batch=2", "--validate-every=15")


def on_ranks(ranks: int, command: list[str], script: str = "trainer") -> subprocess.CompletedProcess[str]:
    """The command under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["--nproc-per-node", str(ranks), "--master-addr", "127.0.0.1", "--master-port", str(port)]
    module = ["-m", script] if script == "trainer" else [script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    line = [sys.executable, "-m", "torch.distributed.run", *launch, *module, *command]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)


def apart(one: list[tuple[int, float | None, float | None]], other: list[tuple[int, float | None, float | None]]) -> float:
    """The largest difference of two runs' losses, validations included."""
    assert [line[0] for line in one] == [line[0] for line in other]
    return max(
        abs((a or 0) - (b or 0)) for left, right in zip(one, other, strict=True) for a, b in zip(left[1:], right[1:], strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "bar"), [("fp64", 1e-12), ("fp32", 1e-5)])
def test_one_two_and_four_ranks_agree(small_run: Command, losses: Losses, tmp_path: Path, precision: str, bar: float) -> None:
    for ranks in (1, 2, 4):
        done = on_ranks(ranks, small_run(f"{ranks}", f"--precision={precision}", *EACH_STEP))
        assert done.returncode == 0, done.stderr
    alone = losses(tmp_path / "1")
    assert len(alone) == 32
    for ranks in (2, 4):
        assert apart(alone, losses(tmp_path / f"{ranks}")) < bar


@pytest.mark.slow
def test_ddp_and_fsdp_agree(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    for strategy in ("ddp", "fsdp"):
        done = on_ranks(2, small_run(strategy, "--precision=fp64", f"--strategy={strategy}", *EACH_STEP))
        assert done.returncode == 0, done.stderr
    assert apart(losses(tmp_path / "ddp"), losses(tmp_path / "fsdp")) < 1e-12


@pytest.mark.slow
def test_four_ranks_then_two_then_one_is_one_run(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    common = ("--precision=fp64", "--micro-batch=2")
    assert on_ranks(1, small_run("whole", *common)).returncode == 0
    for ranks, strategy, stop in ((4, "fsdp", 10), (2, "ddp", 20), (1, "ddp", None)):
        command = [*small_run("moved", *common), f"--strategy={strategy}"]
        done = on_ranks(ranks, command, stopping(tmp_path, stop) if stop else "trainer")
        assert done.returncode == 0, done.stderr
    assert apart(losses(tmp_path / "whole"), losses(tmp_path / "moved")) < 1e-12


def stopping(folder: Path, step: int) -> str:
    """A trainer whose first rank gets SIGTERM as it begins a step."""
    script = folder / f"stop_at_{step}.py"
    script.write_text(
        f"""
import os, signal, sys
from trainer import cli, loop
inner = loop.Run._step
def step(run, batches):
    if run.at.step == {step} and run.world.first:
        os.kill(os.getpid(), signal.SIGTERM)
    return inner(run, batches)
loop.Run._step = step
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    return str(script)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_gradient_poisoned_on_one_rank_is_skipped_by_all(small_run: Command, tmp_path: Path, strategy: str) -> None:
    script = tmp_path / "poison.py"
    script.write_text(
        """
import sys
from trainer import cli, loop
inner = loop.Run._loss
def loss(run, batch, network):
    found = inner(run, batch, network)
    return found * float("nan") if run.at.step == 6 and run.world.rank == 1 and found.requires_grad else found
loop.Run._loss = loss
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("run", "--steps=8", "--keep=9", "--checkpoint-every=1", f"--strategy={strategy}"), str(script))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "skipped_in_a_row" in line] == [7]
    before, skipped, after = (pieces(tmp_path / f"run/checkpoints/step_{step:08d}/model") for step in (6, 7, 8))
    assert before.keys() == skipped.keys()
    assert all(torch.equal(before[name], skipped[name]) for name in before)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def pieces(folder: Path) -> dict[str, torch.Tensor]:
    """Every rank's piece of every tensor."""
    return {f"{file.name} {name}": value for file in folder.iterdir() for name, value in load_file(file).items()}


def test_three_ranks_are_refused_in_one_line(small_run: Command) -> None:
    done = on_ranks(3, small_run("run"))
    assert "3 ranks cannot share 16 windows a step evenly" in done.stderr
    assert "exitcode  : 2" in done.stderr

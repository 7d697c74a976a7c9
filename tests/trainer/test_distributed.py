"""Ranks over gloo: whatever their number and however they share the network, the run is the same."""

import hashlib
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

from trainer import cli
from trainer.data import Batches, Corpus

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
LAST_TOUCH = [("_finish", 0)] if os.environ.get("WEBTEXT_FULL") else []
EACH_STEP = ("--micro-batch=2", "--validate-every=15")


def on_ranks(ranks: int, command: list[str], script: str = "trainer", restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """The command under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["--nproc-per-node", str(ranks), f"--max-restarts={restarts}", "--local-addr", "127.0.0.1"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", str(port)]
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
    common = (f"--precision={precision}", *EACH_STEP)
    assert cli.main(small_run("alone", *common)) == 0
    alone = losses(tmp_path / "alone")
    assert len(alone) == 32
    for ranks, strategy in ((2, "ddp"), (4, "ddp"), (2, "fsdp")):
        done = on_ranks(ranks, small_run(f"{ranks} {strategy}", *common, f"--strategy={strategy}"))
        assert done.returncode == 0, done.stderr
        assert apart(alone, losses(tmp_path / f"{ranks} {strategy}")) < bar


@pytest.mark.slow
def test_four_ranks_then_two_then_one_is_one_run(small_run: Command, losses: Losses, corpus_folder: Path, tmp_path: Path) -> None:
    common = ("--precision=fp64", "--micro-batch=2")
    assert cli.main(small_run("whole", *common)) == 0
    for ranks, strategy, stop in ((4, "fsdp", 10), (2, "ddp", 20), (1, "ddp", 0)):
        done = on_ranks(ranks, [*small_run("moved", *common), f"--strategy={strategy}"], stopping(tmp_path, stop))
        assert done.returncode == 0, done.stderr
    batches = Batches(Corpus.open(corpus_folder).train, context=32, windows=16, seed=1)
    read = [line for part in sorted(tmp_path.glob("read_*")) for line in sorted(part.read_text().splitlines())]
    for step in range(30):
        (whole,) = batches.micro_batches(step)
        assert [line for line in read if line.startswith(f"{step:02} ")] == [
            f"{step:02} {row:02} {digest(tokens)}" for row, tokens in enumerate(whole.inputs)
        ]
    assert apart(losses(tmp_path / "whole"), losses(tmp_path / "moved")) < 1e-12


def digest(tokens: torch.Tensor) -> str:
    return hashlib.blake2b(tokens.numpy().tobytes(), digest_size=8).hexdigest()


def stopping(folder: Path, step: int) -> str:
    """A trainer that writes down every window it reads, and whose first rank gets SIGTERM as it begins a step."""
    script = folder / f"stop_at_{step}.py"
    script.write_text(
        f"""
import hashlib, os, signal, sys
from trainer import cli, loop
inner = loop.Run._step
def step(run, batches):
    if run.at.step == {step} > 0 and run.world.first:
        os.kill(os.getpid(), signal.SIGTERM)
    rows = [row for batch in batches for row in batch.inputs]
    with open("{folder}/read_{step or 99}_" + str(run.world.rank), "a") as file:
        for place, row in enumerate(rows, run.world.rank * len(rows)):
            said = hashlib.blake2b(row.numpy().tobytes(), digest_size=8).hexdigest()
            print(f"{{run.at.step:02}} {{place:02}} {{said}}", file=file)
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


@pytest.mark.slow
def test_a_killed_rank_is_started_again_and_dropout_does_not_hang_on_the_ranks(
    small_run: Command, losses: Losses, tmp_path: Path
) -> None:
    common = ("--precision=fp64", "--micro-batch=2", "--dropout=0.1", "--validate-every=30")
    assert cli.main(small_run("whole", *common)) == 0
    script = tmp_path / "die.py"
    script.write_text(
        """
import os, signal, sys
from trainer import cli, loop
inner = loop.Run._step
def step(run, batches):
    if run.at.step == 12 and run.world.rank == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(run, batches)
loop.Run._step = step
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("killed", *common), str(script), restarts=2)
    assert done.returncode == 0, done.stderr
    assert "goes on from step" in done.stderr
    assert apart(losses(tmp_path / "whole"), losses(tmp_path / "killed")) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("place", "rank"), [("HuggingFaceStorageWriter.write_data", 1), *LAST_TOUCH])
def test_a_save_that_one_rank_cannot_make_fails_on_all(small_run: Command, tmp_path: Path, place: str, rank: int) -> None:
    script = tmp_path / "full.py"
    script.write_text(
        f"""
import os, sys
from trainer import checkpoint, cli
inner, calls = checkpoint.{place}, []
def full(*arguments):
    calls.append(arguments)
    if int(os.environ["RANK"]) == {rank} and (len(calls) > 2 or "{place}" == "_finish" and len(calls) > 1):
        raise OSError(28, "No space left on device")
    return inner(*arguments)
checkpoint.{place} = full
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("run", "--steps=15", "--validate-every=30", "--keep=9"), str(script))
    assert done.returncode == 1
    assert done.stderr.count("a checkpoint could not be written") == 2, done.stderr
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("step_*")] == ["step_00000005"]
    assert cli.main(["verify", str(tmp_path / "run")]) == 0


@pytest.mark.slow
def test_muon_over_pieces_is_muon_over_matrices(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    common = ("--recipe=modern", "--optimizer=muon", "--precision=fp64", "--steps=12", "--validate-every=12", "--micro-batch=2")
    assert cli.main(small_run("whole", *common)) == 0
    done = on_ranks(2, small_run("split", *common, "--strategy=fsdp"))
    assert done.returncode == 0, done.stderr
    assert apart(losses(tmp_path / "whole"), losses(tmp_path / "split")) < 1e-10


def pieces(folder: Path) -> dict[str, torch.Tensor]:
    """Every rank's piece of every tensor."""
    return {f"{file.name} {name}": value for file in folder.iterdir() for name, value in load_file(file).items()}


def test_three_ranks_are_refused_in_one_line(small_run: Command) -> None:
    done = on_ranks(3, small_run("run"))
    assert "3 ranks cannot share 16 windows a step evenly" in done.stderr
    assert "exitcode  : 2" in done.stderr

"""Several ranks over gloo: losses depend neither on the number of ranks nor on the strategy."""

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
from trainer.data import Batches, TokenDataset

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
FULL = bool(os.environ.get("WEBTEXT_FULL"))
PUBLISH = [("save._publish", 0)] if FULL else []
PRECISIONS = [("fp64", 1e-12), ("fp32", 1e-5)] if FULL else [("fp64", 1e-12)]
WORLDS = ((2, "ddp"), (4, "ddp"), (2, "fsdp")) if FULL else ((4, "ddp"),)  # FSDP: the next test
MOVES = ((4, "fsdp", 4), (2, "ddp", 8), (1, "ddp", 0)) if FULL else ((2, "fsdp", 5), (1, "ddp", 0))
"""Ranks, strategy and the step at which the run is stopped."""
STEPS = 12


def on_ranks(ranks: int, command: list[str], script: str = "trainer", restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command under torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["--nproc-per-node", str(ranks), f"--max-restarts={restarts}", "--local-addr", "127.0.0.1"]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", str(port)]
    module = ["-m", script] if script == "trainer" else [script]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    line = [sys.executable, "-m", "torch.distributed.run", *launch, *module, *command]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)


def largest_difference(
    one: list[tuple[int, float | None, float | None]], other: list[tuple[int, float | None, float | None]]
) -> float:
    """Largest difference between the losses of two runs, including validation losses."""
    assert [line[0] for line in one] == [line[0] for line in other]
    return max(
        abs((a or 0) - (b or 0)) for left, right in zip(one, other, strict=True) for a, b in zip(left[1:], right[1:], strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "bar"), PRECISIONS)
def test_losses_are_equal_on_one_two_and_four_ranks(
    small_run: Command, losses: Losses, tmp_path: Path, precision: str, bar: float
) -> None:
    common = (f"--precision={precision}", "--micro-batch=2", "--steps=12", "--validate-every=6", "--checkpoint-every=12")
    assert cli.main(small_run("alone", *common)) == 0
    alone = losses(tmp_path / "alone")
    assert len(alone) == 14
    for ranks, strategy in WORLDS:
        done = on_ranks(ranks, small_run(f"{ranks} {strategy}", *common, f"--strategy={strategy}"))
        assert done.returncode == 0, done.stderr
        assert largest_difference(alone, losses(tmp_path / f"{ranks} {strategy}")) < bar


@pytest.mark.slow
def test_a_run_can_resume_on_fewer_ranks(small_run: Command, losses: Losses, corpus_folder: Path, tmp_path: Path) -> None:
    common = ("--precision=fp64", "--micro-batch=2", f"--steps={STEPS}")
    assert cli.main(small_run("whole", *common)) == 0
    for ranks, strategy, stop in MOVES:
        done = on_ranks(ranks, [*small_run("moved", *common), f"--strategy={strategy}"], stopping(tmp_path, stop))
        assert done.returncode == (1 if stop else 0), done.stderr  # torchrun's answer to ranks that end with 75
    batches = Batches(TokenDataset.open(corpus_folder).train, context=32, windows=16, seed=1)
    read = [line for part in sorted(tmp_path.glob("read_*")) for line in sorted(part.read_text().splitlines())]
    for step in range(STEPS):
        (whole,) = batches.micro_batches(step)
        assert [line for line in read if line.startswith(f"{step:02} ")] == [
            f"{step:02} {row:02} {digest(tokens)}" for row, tokens in enumerate(whole.inputs)
        ]
    assert largest_difference(losses(tmp_path / "whole"), losses(tmp_path / "moved")) < 1e-12


def digest(tokens: torch.Tensor) -> str:
    return hashlib.blake2b(tokens.numpy().tobytes(), digest_size=8).hexdigest()


def stopping(folder: Path, step: int) -> str:
    """Script that trains, writes a digest of each window it reads, and sends SIGTERM to the first rank at the start of a step."""
    script = folder / f"stop_at_{step}.py"
    script.write_text(
        f"""
import hashlib, os, signal, sys
from trainer import cli, loop
inner = loop.Trainer._step
def step(trainer, batches):
    if trainer.state.step == {step} > 0 and trainer.world.first:
        os.kill(os.getpid(), signal.SIGTERM)
    made = inner(trainer, batches)
    if made is None:  # given up for the signal
        return None
    rows = [row for batch in batches for row in batch.inputs]
    with open("{folder}/read_{step or 99}_" + str(trainer.world.rank), "a") as file:
        for position, row in enumerate(rows, trainer.world.rank * len(rows)):
            digest = hashlib.blake2b(row.numpy().tobytes(), digest_size=8).hexdigest()
            print(f"{{trainer.state.step:02}} {{position:02}} {{digest}}", file=file)
    return made
loop.Trainer._step = step
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    return str(script)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"] if FULL else ["fsdp"])
def test_a_bad_gradient_on_one_rank_is_skipped_on_all(small_run: Command, tmp_path: Path, strategy: str) -> None:
    script = tmp_path / "poison.py"
    script.write_text(
        """
import sys
from trainer import cli, loop
inner = loop.Trainer._loss
def loss(trainer, batch, network, *window):
    value = inner(trainer, batch, network, *window)
    return value * float("nan") if trainer.state.step == 6 and trainer.world.rank == 1 and value.requires_grad else value
loop.Trainer._loss = loss
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("run", "--steps=8", "--keep=9", "--checkpoint-every=1", f"--strategy={strategy}"), str(script))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "skipped_in_a_row" in line] == [7]
    before, skipped, after = (shards(tmp_path / f"run/checkpoints/step_{step:08d}/model") for step in (6, 7, 8))
    assert before.keys() == skipped.keys()
    assert all(torch.equal(before[name], skipped[name]) for name in before)
    assert not all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_a_killed_rank_is_restarted_and_dropout_does_not_depend_on_the_ranks(
    small_run: Command, losses: Losses, tmp_path: Path
) -> None:
    common = ("--precision=fp64", "--micro-batch=2", "--dropout=0.1", "--validate-every=20", "--steps=20")
    assert cli.main(small_run("whole", *common)) == 0
    script = tmp_path / "die.py"
    script.write_text(
        f"""
import os, signal, sys
from pathlib import Path
from trainer import cli, loop
inner = loop.Trainer._step
def step(trainer, batches):
    first = trainer.world.rank == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if first and trainer.state.step >= 7 and any(Path({str(tmp_path / "killed" / "checkpoints")!r}).glob("step_*")):
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(trainer, batches)
loop.Trainer._step = step
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("killed", *common), str(script), restarts=2)
    assert done.returncode == 0, done.stderr
    assert "resuming from step" in done.stderr
    assert largest_difference(losses(tmp_path / "whole"), losses(tmp_path / "killed")) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(("place", "rank"), [("tensors.HuggingFaceStorageWriter.write_data", 1), *PUBLISH])
def test_a_failed_save_on_one_rank_fails_on_all(small_run: Command, tmp_path: Path, place: str, rank: int) -> None:
    script = tmp_path / "full.py"
    script.write_text(
        f"""
import os, sys
from trainer import cli
from trainer.checkpoint import save, tensors
inner, calls = {place}, []
def full(*arguments):
    calls.append(arguments)
    if int(os.environ["RANK"]) == {rank} and (len(calls) > 2 or "{place}" == "save._publish" and len(calls) > 1):
        raise OSError(28, "No space left on device")
    return inner(*arguments)
{place} = full
sys.exit(cli.main(sys.argv[1:]))
"""
    )
    done = on_ranks(2, small_run("run", "--steps=10", "--validate-every=30", "--keep=9"), str(script))
    assert done.returncode == 1
    assert done.stderr.count("a checkpoint could not be written") == 2, done.stderr
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("step_*")] == ["step_00000005"]
    assert cli.main(["verify", str(tmp_path / "run")]) == 0


@pytest.mark.slow
def test_muon_on_shards_equals_muon_on_whole_matrices(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    common = ("--recipe=modern", "--optimizer=muon", "--precision=fp64", "--steps=6", "--validate-every=6", "--micro-batch=2")
    assert cli.main(small_run("whole", *common)) == 0
    done = on_ranks(2, small_run("split", *common, "--strategy=fsdp"))
    assert done.returncode == 0, done.stderr
    assert largest_difference(losses(tmp_path / "whole"), losses(tmp_path / "split")) < 1e-10


@pytest.mark.slow
def test_sharded_ranks_start_from_given_weights(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    """--init-from with FSDP, whose parameters are shards: the first losses are those of one process."""
    assert cli.main(small_run("source", "--precision=fp64", "--steps=2")) == 0
    common = ("--precision=fp64", "--micro-batch=2", "--steps=3", f"--init-from={tmp_path / 'source'}")
    assert cli.main(small_run("whole", *common)) == 0
    done = on_ranks(2, small_run("split", *common, "--strategy=fsdp"))
    assert done.returncode == 0, done.stderr
    assert largest_difference(losses(tmp_path / "whole"), losses(tmp_path / "split")) < 1e-10


def shards(folder: Path) -> dict[str, torch.Tensor]:
    """Each rank's shard of each tensor."""
    return {f"{file.name} {name}": value for file in folder.iterdir() for name, value in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="WEBTEXT_FULL=1 (without torchrun: test_launch.py)")
def test_a_number_of_ranks_that_does_not_divide_the_batch_is_rejected(small_run: Command) -> None:
    done = on_ranks(3, small_run("run"))
    assert "3 ranks cannot share 16 windows per step evenly" in done.stderr
    assert "exitcode  : 2" in done.stderr

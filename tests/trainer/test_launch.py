"""Ranks on one machine: they train as under torchrun, and whatever listens for them listens on loopback alone."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from listeners import beyond_loopback, listeners_of

from trainer import cli
from trainer.checkpoint.folders import newest

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def launch(*words: str) -> tuple[subprocess.Popen[str], set[str]]:
    """Run `webtext-train launch` to its end; the addresses on which its processes listened meanwhile."""
    line = [sys.executable, "-m", "trainer", "launch", *words]
    seen: set[str] = set()
    with subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        while True:
            seen |= listeners_of(run.pid)
            try:
                run.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            return run, seen


@pytest.mark.slow
def test_two_ranks_listen_on_loopback_alone_and_give_the_same_losses(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    common = ("--precision=fp64", "--micro-batch=2", "--steps=10", "--validate-every=10", "--checkpoint-every=5")
    assert cli.main(small_run("alone", *common)) == 0
    run, seen = launch("--ranks", "2", *small_run("pair", *common))
    assert run.returncode == 0, run.stderr
    assert len(seen) >= 3  # the store, and a port of each rank
    assert not beyond_loopback(seen), seen
    one, pair = losses(tmp_path / "alone"), losses(tmp_path / "pair")
    assert [line[0] for line in one] == [line[0] for line in pair]
    assert max(abs((a[1] or 0) - (b[1] or 0)) for a, b in zip(one, pair, strict=True)) < 1e-12
    assert newest(tmp_path / "pair").name == "step_00000010"


@pytest.mark.slow
def test_a_failed_rank_gives_its_exit_code(small_run: Command) -> None:
    line = [sys.executable, "-m", "trainer", "launch", "--ranks", "3", *small_run("run")]
    done = subprocess.run(line, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "3 ranks cannot share 16 windows per step evenly" in done.stderr


@pytest.mark.parametrize("words", [["--ranks", "0", "train"], ["--ranks", "2"], ["--ranks", "two", "train"]])
def test_a_bad_number_of_ranks_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["launch", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--ranks" in line or "command" in line

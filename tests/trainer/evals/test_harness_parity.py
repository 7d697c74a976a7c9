"""Parity with lm-evaluation-harness, digit by digit, if it is installed (benchmarks/peers.py installs it)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import peers

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.slow
def test_random_and_trained_networks_score_as_in_the_harness(shared_data: Path) -> None:
    """LAMBADA, WikiText-2, WSC-273, endings, and sliding windows at three strides: benchmarks/evaluation.py on few texts."""
    if peers.installed(*peers.HARNESS) is None:
        pytest.skip("lm_eval is not installed: python benchmarks/evaluation.py parity installs it")
    command = [sys.executable, str(BENCHMARKS / "evaluation.py"), "parity", "--data", str(shared_data / "evals"), "--threads=1"]
    sizes = ["--passages=400", "--lines=300"] if os.environ.get("WEBTEXT_FULL") else ["--passages=20", "--lines=25"]
    process = subprocess.run([*command, *sizes], capture_output=True, text=True, check=False, timeout=1500)
    assert process.returncode == 0, process.stdout + process.stderr[-2000:]
    compared = [line for line in process.stdout.splitlines() if ": ours " in line]
    assert len(compared) == 2 * 10
    assert not any("DIFFERS" in line for line in compared)

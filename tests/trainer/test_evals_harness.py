"""Equal to lm-evaluation-harness, digit by digit, where it is installed (benchmarks/peers.py puts it there)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_random_and_a_trained_network_score_as_in_the_harness(shared_data: Path) -> None:
    """LAMBADA, WikiText-2, WSC-273, choices among endings, and sliding windows at three strides: benchmarks/evaluation.py, on few texts."""
    installed = sorted(load("peers").HOME.glob("lm_eval-*/complete"))
    if not installed:
        pytest.skip("lm_eval is not installed: python benchmarks/evaluation.py parity installs it")
    command = [sys.executable, str(BENCHMARKS / "evaluation.py"), "parity", "--data", str(shared_data / "evals"), "--threads=1"]
    sizes = ["--passages=400", "--lines=300"] if os.environ.get("WEBTEXT_FULL") else ["--passages=20", "--lines=25"]
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    compared = [line for line in done.stdout.splitlines() if ": ours " in line]
    assert len(compared) == 2 * 10
    assert not any("DIFFERS" in line for line in compared)

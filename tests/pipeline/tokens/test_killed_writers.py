import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 40 if os.environ.get("WEBTEXT_FULL") else 12


@pytest.mark.slow
def test_kill_9_at_any_write_or_rename_leaves_no_wrong_file(tmp_path: Path, corpus: str, vocabulary: str) -> None:
    """Each run is killed at another write or rename, checked, and run again to its end."""
    tests = Path(__file__).parents[2]
    script = tests / "killed_writers.py"
    finished = subprocess.run(
        [sys.executable, str(script), str(tmp_path), corpus, vocabulary, str(KILLS)],
        env={**os.environ, "PYTHONPATH": str(tests.parent)},  # tests/pipeline would stand for the package
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert finished.stdout.split() == [str(KILLS)]

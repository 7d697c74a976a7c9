"""Whatever a command line names, and whatever an error quotes, the terminal gets no control characters."""

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_labels import FORBIDDEN

HOSTILE = "no\x1b[2J\x1b]52;c;AAAA\x07such\u202eplace\x9b2J"
COMMANDS = (
    ("pipeline", "verify", "--corpus", HOSTILE),
    ("pipeline", "links", "--submissions", HOSTILE, "--output", "out"),
    ("pipeline", HOSTILE),
    ("pipeline", "links", f"--{HOSTILE}", "--output", "out"),
    ("tokenizer", "verify", HOSTILE),
    ("tokenizer", "decode", HOSTILE, "--tokenizer", HOSTILE),
    ("trainer", "verify", HOSTILE),
    ("trainer", "eval", HOSTILE, "--tasks", HOSTILE),
    ("trainer", "train", HOSTILE),
)


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_an_error_that_quotes_an_argument_has_no_control_characters(number: int, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", *COMMANDS[number]], capture_output=True, cwd=tmp_path)
    assert done.returncode == 2
    assert not FORBIDDEN & set(done.stderr.decode() + done.stdout.decode())
    assert "such" in done.stderr.decode()

"""What reaches a terminal: no text of others moves its cursor, whatever way it takes."""

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_labels import FORBIDDEN, LABELS, SURROGATES

from tokenizer.terminal import GuardedStream, LineFormatter, control, error_line, guarded_streams

ALL = (*LABELS, *SURROGATES)
EVERY_WAY = """
import logging, sys, warnings
sys.path[:0] = sys.argv[1:]
from hostile_labels import LABELS, SURROGATES
from tokenizer.terminal import control, guarded_streams, log_lines
with guarded_streams():
    log_lines(logging.INFO)
    for label in (*LABELS, *SURROGATES):
        print(label)
        sys.stderr.write(label)
        logging.getLogger("x").info("a %s b", label)
        warnings.warn(label)
        try:
            raise ValueError(label)
        except ValueError:
            logging.getLogger("x").exception("failed: %s", label)
    control(sys.stdout, "\\x1b[32mgreen\\x1b[0m\\n")
    raise RuntimeError(LABELS[17])
"""


def test_nothing_reaches_the_terminal_but_by_control() -> None:
    here = __file__.rpartition("/tests/")[0]
    done = subprocess.run([sys.executable, "-c", EVERY_WAY, here, f"{here}/tests"], capture_output=True, cwd="/")
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 1
    assert not FORBIDDEN & set(err)
    assert out.endswith("\x1b[32mgreen\x1b[0m\n")
    assert not FORBIDDEN & set(out.removesuffix("\x1b[32mgreen\x1b[0m\n"))
    assert "RuntimeError: \\x1b[2J\\x1b[31mred" in err


def test_streams_are_restored() -> None:
    before = sys.stdout, sys.stderr
    with guarded_streams():
        assert isinstance(sys.stdout, GuardedStream)
    assert (sys.stdout, sys.stderr) == before


def test_a_guarded_stream_is_otherwise_the_stream_below() -> None:
    below = io.StringIO()
    stream = GuardedStream(below)
    stream.writelines(["a\x1b[2J\n", "\tb\r"])
    control(stream, "\x1b[K")  # type: ignore[arg-type]
    assert below.getvalue() == "a\\x1b[2J\n\tb\\r\x1b[K"
    assert stream.isatty() is False


@pytest.mark.parametrize("number", range(len(ALL)))
def test_a_record_and_an_error_are_one_line_each(number: int) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "kept %s of %d", (ALL[number], 3), None)
    for line in (LineFormatter().format(record), error_line(ValueError(ALL[number]))):
        assert len(line.encode().splitlines()) == 1
        assert not FORBIDDEN & set(line)
        assert len(line) < 4100


def test_colorama_prints_nothing_at_the_end_of_a_command() -> None:
    """numba initializes it where it compiles; its last escape sequence would be shown as text."""
    pytest.importorskip("colorama")
    code = (
        "from tokenizer.terminal import guarded_streams\n"
        "with guarded_streams():\n    import colorama\n    colorama.init()\n    colorama.deinit()\n    print('done')"
    )
    reader, writer = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=writer, cwd=Path(__file__).parents[2], check=True)
    os.close(writer)
    assert os.read(reader, 4096) == b"done\r\n"
    os.close(reader)

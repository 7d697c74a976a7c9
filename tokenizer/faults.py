"""What the three programs answer to an error: one line and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizer.errors import DISK_ERRORS, DISK_FAILED, FormatError, InputError, path_fault
from tokenizer.terminal import print_error

PIPE_CLOSED = 141
"""Exit code of a command whose reader went away, as `head` does: that of a program that ends by SIGPIPE."""

EXTRAS = {"torch": "train", "safetensors": "train", "apache_beam": "", "praw": "", "boto3": "aws"}
"""Modules that an installation may lack, and the extra of this package that has them; empty for the package itself."""


def install_command(extra: str = "") -> str:
    """The command that installs this package with an extra, as the README does.

    >>> install_command("pdf")
    "pip install '.[pdf]' in webtext's source folder"
    """
    return f"pip install '.{f'[{extra}]' if extra else ''}' in webtext's source folder"


def check_arguments(words: Sequence[str]) -> None:
    """Raise InputError for an argument that is no text in the terminal's encoding: no file of ours could name it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise InputError(
                f"the argument {shown} is no text in this terminal's encoding, {sys.getfilesystemencoding()}; "
                "run with LC_ALL=C.UTF-8, or rename the file"
            ) from error


def answer(run: Callable[[], int], *, on_full_disk: str, mark: str = "error: ", disk_failed: int = DISK_FAILED) -> int:
    """The exit code of a command: what `run` returns, or that of the error it raises, whose line is printed.

    2: the user's input, a path that cannot be used, a package that is missing. `disk_failed`: the disk is full or fails, followed by
    the advice `on_full_disk`. 141: the reader of the output went away. Other errors pass through.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal of ASCII alone must not end a command
    try:
        code = run()
        sys.stdout.flush()
    except (InputError, FormatError) as error:
        return _say(2, f"{mark}{error}")
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _say(2, f"{mark}the package {error.name} is not installed; run {install_command(extra)}")
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        if error.errno in DISK_ERRORS:
            return _say(disk_failed, f"{mark}{where}{error.strerror}; {on_full_disk}")
        if not where:
            raise
        return _say(2, f"{mark}{where}{path_fault(error)}")
    return code


def _say(code: int, line: str) -> int:
    print_error(line)
    return code


def _forget_output() -> None:
    """Send what is still buffered nowhere: Python would try again to write it at its end, and complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no real file below it
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it lives as long as the process

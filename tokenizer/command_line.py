"""What the three command lines share: parsers of flags, checks of arguments, and the one line and exit code of an error."""

import argparse
import math
import os
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizer.errors import DISK_ERRORS, FormatError, InputError, path_fault

PIPE_CLOSED = 141
"""Exit code of a command whose reader went away, as `head` does: that of a program that ends by SIGPIPE."""
MOST = 1 << 63

EXTRAS = {"torch": "train", "safetensors": "train", "apache_beam": "", "praw": "", "boto3": "aws", "hdfs": "hdfs"}
"""Modules that an installation may lack, and the extra of this package that has them; empty for the package itself."""


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviation and raises InputError: a usage error is one line and exit code 2."""

    def __init__(self, **options: typing.Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> typing.NoReturn:
        """Raise InputError with argparse's message."""
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def whole(text: str) -> int:
    """A whole number of 64 bits, as argparse's `type`."""
    try:
        value = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error
    if not -MOST <= value < MOST:
        raise argparse.ArgumentTypeError(f"{text}: beyond 64 bits")
    return value


def positive(text: str) -> int:
    """A whole number from 1 on, as argparse's `type`."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


def real(text: str) -> float:
    """A finite number, as argparse's `type`."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: must be finite")
    return value


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


def answer(run: Callable[[], int], *, on_full_disk: str, mark: str = "error: ", disk_failed: int = 74) -> int:
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
        package = f"webtext[{extra}]" if extra else "webtext"
        return _say(2, f"{mark}the package {error.name} is not installed; run pip install '{package}'")
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        if error.errno in DISK_ERRORS:
            return _say(disk_failed, f"{mark}{where}{error.strerror}; {on_full_disk}")
        if not where:
            raise
        return _say(2, f"{mark}{where}{path_fault(error)}")
    return code


def _say(code: int, line: str) -> int:
    sys.stderr.write(one_line(line) + "\n")
    return code


def one_line(text: str) -> str:
    """The text on one line, without control characters: a path may hold any."""
    return "".join(c if c.isprintable() or c == "…" else repr(c)[1:-1] for c in text)


def _forget_output() -> None:
    """Send what is still buffered nowhere: Python would try again to write it at its end, and complain."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no real file below it
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it lives as long as the process

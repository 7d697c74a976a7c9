"""What reaches a terminal: standard output, standard error and logs, in which no text of others can move the cursor.

A command runs within `guarded_streams`. What the program itself says to a terminal goes through `control`.
"""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO, cast

from tokenizer.labels import printable, printable_text

ERROR_CHARACTERS = 4000


class GuardedStream:
    """A text stream that shows control characters as their escapes, but for line ends and tabs. `terminal` is the stream below."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        """Write a text without what a terminal could obey."""
        self.terminal.write(printable_text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Within the block, all that is printed, logged, warned of or raised reaches the terminal through a GuardedStream."""
    output, errors = sys.stdout, sys.stderr
    sys.excepthook = print_exception
    sys.stdout, sys.stderr = cast("TextIO", GuardedStream(output)), cast("TextIO", GuardedStream(errors))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = output, errors


def print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that ends the program, as Python does: its message may quote anything."""
    sys.stderr.write(printable_text("".join(traceback.format_exception(kind, error, trace))))


def control(stream: TextIO, text: str) -> None:
    """Write the program's own text, which may hold escape sequences, and no value from outside that is not `printable`."""
    getattr(stream, "terminal", stream).write(text)


def error_line(error: object) -> str:
    """The one line of an error, for a terminal."""
    return printable(error, ERROR_CHARACTERS)


class LineFormatter(logging.Formatter):
    """One line per record, whatever names are in its message; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class names it)
        """The record's message as one line."""
        return printable(super().formatMessage(record), ERROR_CHARACTERS)

    def format(self, record: logging.LogRecord) -> str:
        """The message and the traceback."""
        return printable_text(super().format(record))


def log_lines(level: int) -> None:
    """Log to standard error, unless logging is set up already: messages alone, each on one line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler])

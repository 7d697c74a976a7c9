"""What reaches a terminal: standard output, standard error and logs, in which no text of others can move the cursor.

A command runs within `guarded_streams`. What the program itself says to a terminal goes through `control`.
"""

import atexit
import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
        if "colorama.initialise" in sys.modules:  # numba uses it; at exit it would print an escape sequence through our guard
            atexit.unregister(sys.modules["colorama.initialise"].reset_all)


def print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that ends the program, as Python does: its message may quote anything."""
    sys.stderr.write(printable_text("".join(traceback.format_exception(kind, error, trace))))


def control(stream: TextIO, text: str) -> None:
    """Write the program's own text, which may hold escape sequences, and no value from outside that is not `printable`."""
    getattr(stream, "terminal", stream).write(text)


def error_line(error: object) -> str:
    """The one line of an error, for a terminal."""
    return printable(error, ERROR_CHARACTERS)


@dataclass(slots=True)
class Output:
    """What this process prints. `status_line` is the text that stands on the terminal's last line, without its end."""

    quiet: bool = False
    json_lines: bool = False
    status_line: str = ""


OUTPUT = Output()
_lock = threading.RLock()


def set_output(quiet: bool, json_lines: bool) -> tuple[bool, bool]:
    """Print no progress if `quiet`, and log JSON objects if `json_lines`. Returns both as they were."""
    before = OUTPUT.quiet, OUTPUT.json_lines
    OUTPUT.quiet, OUTPUT.json_lines = quiet, json_lines
    return before


def show_status(text: str) -> None:
    """Put a text in place of the status line; an empty one removes it."""
    with _lock:
        if text or OUTPUT.status_line:
            control(sys.stderr, f"\r\x1b[K{printable(text, ERROR_CHARACTERS)}")
            sys.stderr.flush()
        OUTPUT.status_line = text


class LineHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records to standard error; the status line makes room for them and comes again with its next change."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record on a line of its own."""
        with _lock:
            show_status("")
            super().emit(record)


def _instant(record: logging.LogRecord) -> str:
    """The record's time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


class LineFormatter(logging.Formatter):
    """One line per record, whatever names are in its message; a traceback keeps its lines.

    `dated` begins each line with the time. A JSON object in place of the line, where OUTPUT asks for it.
    """

    def __init__(self, dated: bool = False) -> None:
        super().__init__("%(message)s")
        self.dated = dated

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the base class names it)
        """The record's message as one line."""
        return printable(super().formatMessage(record), ERROR_CHARACTERS)

    def format(self, record: logging.LogRecord) -> str:
        """The message and the traceback."""
        if OUTPUT.json_lines:
            return self._object(record)
        line = printable_text(super().format(record))
        return f"{_instant(record)} {line}" if self.dated else line

    def _object(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields | getattr(record, "fields", {}))


def log_lines(level: int, dated: bool = False) -> None:
    """Log to standard error, unless logging is set up already: messages, each on one line, with the time if `dated`."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(LineFormatter(dated))
    logging.basicConfig(level=level, handlers=[handler])


def print_error(line: str) -> None:
    """Print the one line of an error that ends a command."""
    show_status("")
    if OUTPUT.json_lines:
        line = json.dumps({"level": "error", "message": line})
    sys.stderr.write(f"{error_line(line)}\n")

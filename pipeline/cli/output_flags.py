"""Flags of every command that say what is printed: -q, -v and --log-format, before or after the command word."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tokenizer import terminal
from tokenizer.command_line import suggestion
from tokenizer.errors import InputError

FORMATS = ("text", "json")
FLAG = "--log-format"
SWITCHES = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose"}
TEXTS = {
    ("-q", "--quiet"): "warnings and errors alone, no progress",
    ("-v", "--verbose"): "also what each phase of a stage does",
    (FLAG,): "one JSON object per line on standard error, progress too, or text (default: text)",
}
"""The flags and their help."""


@dataclass(frozen=True, slots=True)
class OutputFlags:
    """What a command prints."""

    quiet: bool = False
    verbose: bool = False
    log_format: str = FORMATS[0]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Print so while the block runs."""
        logger = logging.getLogger("pipeline")
        level = logger.level
        before = terminal.set_output(quiet=self.quiet, json_lines=self.log_format == "json")
        logger.setLevel(logging.WARNING if self.quiet else logging.DEBUG if self.verbose else level)
        try:
            yield
        finally:
            logger.setLevel(level)
            terminal.set_output(*before)


def take_output_flags(argv: Sequence[str]) -> tuple[list[str], OutputFlags]:
    """The words without these flags, and the flags. Raises InputError for a format that is none, and for -q with -v."""
    words: list[str] = []
    values: dict[str, str | bool] = {}
    left = iter(argv)
    for word in left:
        name, equals, value = word.partition("=")
        if word == "--":
            words += [word, *left]
        elif word in SWITCHES:
            values[SWITCHES[word]] = True
        elif name.replace("_", "-") == FLAG:
            values["log_format"] = _format(value if equals else next(left, ""))
        else:
            words.append(word)
    if values.get("quiet") and values.get("verbose"):
        raise InputError("-q and -v: give one of them")
    return words, OutputFlags(**values)  # type: ignore[arg-type]


def _format(text: str) -> str:
    if text not in FORMATS:
        raise InputError(f"{FLAG} {text}: give {' or '.join(FORMATS)}{suggestion(text, FORMATS)}")
    return text

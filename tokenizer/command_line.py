"""A parser of command lines that people type: hyphens or underscores, and a suggestion where a word is unknown."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

SUGGESTION_SIMILARITY = 0.6


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations. A flag is known with hyphens; with underscores it means the same.

    An unknown flag or command is answered with the nearest known one.
    """

    def __init__(self, *positional: Any, **options: Any) -> None:
        super().__init__(*positional, **{"allow_abbrev": False, "formatter_class": _OneLinePerFlag, **options})

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse, after underscores in our flags have become hyphens."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args(hyphenated(words, self._option_string_actions), namespace)

    def flags(self) -> list[str]:
        """The flags that the parser knows."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Print one line with argparse's message and the way to help, and exit with 2."""
        self.exit(2, f"{self.usage_error(message)}\n")

    def usage_error(self, message: str) -> str:
        """The line that answers a usage error."""
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        hint = suggestion(unknown, self.flags()) if unknown else ""
        return f"{self.prog}: {message}{hint}; see {self.prog} --help"


class _OneLinePerFlag(argparse.RawDescriptionHelpFormatter):
    """Help with one line per flag where it fits into 120 columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=120)


def hyphenated(words: Iterable[str], known: Iterable[str]) -> list[str]:
    """The words, with hyphens in each flag that is known with hyphens only. Values and others' flags stay.

    >>> hyphenated(["--min_karma=5", "--temp_location", "a_b"], ["--min-karma"])
    ['--min-karma=5', '--temp_location', 'a_b']
    """
    flags = set(known)
    return [_hyphenated(word, flags) for word in words]


def _hyphenated(word: str, flags: set[str]) -> str:
    name, equals, value = word.partition("=")
    spelled = name.replace("_", "-")
    return f"{spelled}{equals}{value}" if word.startswith("--") and name not in flags and spelled in flags else word


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean --min-karma?`, or nothing where no known word is near.

    >>> suggestion("--min-karam", ["--min-karma", "--workers"])
    '; did you mean --min-karma?'
    >>> suggestion("--zzz", ["--min-karma"])
    ''
    """
    near = difflib.get_close_matches(word.partition("=")[0].replace("_", "-"), list(known), 1, SUGGESTION_SIMILARITY)
    return f"; did you mean {near[0]}?" if near else ""


def positive_int(text: str) -> int:
    """An integer of at least 1, for a flag."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value

"""A parser of command lines that people type: hyphens or underscores, and a suggestion where a word is unknown."""

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

SUGGESTION_SIMILARITY = 0.6
MISSING = "the following arguments are required: "
"""How argparse begins its line about required flags and words."""
HELP_ALL = "--help-all"


class Parser(argparse.ArgumentParser):
    """An argument parser without abbreviations. A flag is known with hyphens; with underscores it means the same.

    An unknown flag or command is answered with the nearest known one. `common` are the flags that --help shows; --help-all then
    shows every flag.
    """

    def __init__(self, *positional: Any, common: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*positional, **{"allow_abbrev": False, "formatter_class": _OneLinePerFlag, **options})
        self.common = tuple(common)
        self._words: list[str] = []
        self.describe_unknown: Callable[[Sequence[str]], str] = _unrecognized
        if common:
            self.add_argument(HELP_ALL, action=_HelpAll, help="show every flag")

    def format_help(self) -> str:
        """The help with the common flags, or with all where there is no such choice."""
        if not self.common:
            return super().format_help()
        shown = {"--help", HELP_ALL, *self.common}
        hidden = [action for action in self._actions if action.option_strings and not shown & set(action.option_strings)]
        empty = [group for group in self._action_groups if set(map(id, group._group_actions)) <= set(map(id, hidden))]
        before = [action.help for action in hidden], [group.description for group in empty], self.epilog
        for action in hidden:
            action.help = argparse.SUPPRESS
        for group in empty:
            group.description = None
        self.epilog = "\n\n".join([*([self.epilog] if self.epilog else []), f"{len(hidden)} more flags: {self.prog} {HELP_ALL}"])
        try:
            return super().format_help()
        finally:
            for action, text in zip(hidden, before[0], strict=True):
                action.help = text
            for group, text in zip(empty, before[1], strict=True):
                group.description = text
            self.epilog = before[2]

    def format_every_flag(self) -> str:
        """The help with every flag."""
        return super().format_help()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse, after underscores in our flags have become hyphens."""
        self._words = hyphenated(sys.argv[1:] if args is None else args, self._option_string_actions)
        return super().parse_known_args(self._words, namespace)

    def flags(self) -> list[str]:
        """The flags that the parser knows."""
        return list(self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Print one line with argparse's message and the way to help, and exit with 2.

        An unknown flag is named before a flag that is missing: `describe_unknown` gives the message for words that are unknown.
        """
        if message.startswith(MISSING) and not _mistyped(message, self._words, self.flags()):
            message = self.describe_unknown(self._unknown_words()) or message
        self.exit(2, f"{self.usage_error(message)}\n")

    def _unknown_words(self) -> list[str]:
        """The words that no flag takes, whatever is missing."""
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        try:
            words: list[str] = super().parse_known_args(self._words)[1]
        finally:
            for action in required:
                action.required = True
        return words

    def usage_error(self, message: str) -> str:
        """The line that answers a usage error."""
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        hint = (
            suggestion(unknown, self.flags())
            if unknown
            else _mistyped(message, self._words, self.flags()) or _nearest_choice(message)
        )
        return f"{self.prog}: {message}{hint}; see {self.prog} --help"


def _unrecognized(words: Sequence[str]) -> str:
    """Argparse's line about unknown words; empty for none."""
    return f"unrecognized arguments: {' '.join(words)}" if words else ""


def _nearest_choice(message: str) -> str:
    """The suggestion for argparse's line about a value that is none of the choices.

    >>> _nearest_choice("argument COMMAND: invalid choice: 'trian' (choose from 'train', 'sample')")
    '; did you mean train?'
    """
    found = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
    return suggestion(found[1], [word.strip(" '") for word in found[2].split(",")]) if found else ""


def _mistyped(message: str, words: Iterable[str], known: Iterable[str]) -> str:
    """The suggestion for argparse's line about a required flag, where a flag like it was given.

    >>> _mistyped("the following arguments are required: --output", ["--ouput", "a"], ["--output", "--urls"])
    '; --ouput is not known, did you mean --output?'
    """
    missing = message.partition(MISSING)[2].split(", ")
    given = (word.partition("=")[0] for word in words if word.startswith("--"))
    for word in (word for word in given if word not in set(known)):
        if suggestion(word, missing):
            return f"; {word} is not known, {suggestion(word, missing).removeprefix('; ')}"
    return ""


class _HelpAll(argparse.Action):
    """Prints the help with every flag, and exits."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)
        sys.stdout.write(parser.format_every_flag())
        parser.exit()


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


def whole(text: str) -> int:
    """A whole number of 64 bits, for a flag."""
    try:
        value = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from error
    if not -(1 << 63) <= value < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} is beyond 64 bits")
    return value


def real(text: str) -> float:
    """A finite number, for a flag."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def positive_int(text: str) -> int:
    """An integer of at least 1, for a flag."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value

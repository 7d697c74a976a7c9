"""Help of every command, from a table of all flags that is written from the parsers: no stage is imported to answer it.

`--help` shows a command's common flags, `--help-all` every flag. `python -m pipeline.cli.write_flags` writes the table anew; a test
compares it with the parsers.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from typing import Any

from pipeline.cli.output_flags import FLAG, FORMATS, TEXTS
from tokenizer.command_line import HELP_ALL, Parser

TABLE = "flags.json"
WORDS = ("-h", "--help", HELP_ALL)
LINK_FLAGS = ("--submissions", "--urls", "--subreddits", "--limit", "--min-karma")
ENGINE_FLAGS = ("--workers", "--replace")
RUN_FLAGS = (
    *("--output", *LINK_FLAGS, "--config", "--dry-run", "--watch", "--contact", "--retry-failed", "--extractor", "--languages"),
    *("--filters", "--threshold", "--vocab-size", "--validation-share", *ENGINE_FLAGS),
)
COMMON = {
    "links": ("--output", *LINK_FLAGS, "--karma", "--created-before", "--domain-policy", *ENGINE_FLAGS),
    "pages": (
        *(
            "--input",
            "--output",
            "--corpus",
            "--contact",
            "--host-delay",
            "--robots",
            "--retry-failed",
            "--proxy",
            "--fetch-from",
        ),
        *ENGINE_FLAGS,
    ),
    "documents": (
        *("--input", "--output", "--corpus", "--explain", "--html", "--extractor", "--languages", "--min-characters"),
        *("--filters",),
        *("--mask-pii", "--takedown", *ENGINE_FLAGS),
    ),
    "dedup": (
        "--input",
        "--output",
        "--corpus",
        "--explain",
        "--remove-duplicates",
        "--threshold",
        "--shingle",
        "--against",
        *ENGINE_FLAGS,
    ),
    "vocabulary": ("--input", "--output", "--corpus", "--vocab-size", "--tokenizer", "--tokenizer-path", *ENGINE_FLAGS),
    "run": RUN_FLAGS,
    "recipe show": RUN_FLAGS,
}
"""The flags that --help shows, for commands with more than a screen of them; other commands show all."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, or one word without a flag (`names` then holds its name alone). `nargs` is as argparse has it; 0 takes no value."""

    names: tuple[str, ...]
    text: str
    group: str
    nargs: int | str | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class HelpPage:
    """What the help of a command says."""

    usage: str | None
    description: str
    groups: dict[str, str]
    flags: tuple[Flag, ...]


@cache
def pages() -> dict[str, HelpPage]:
    """The page of each command: `links`, `tokenizer train`."""
    table = json.loads(resources("pipeline.cli").joinpath(TABLE).read_text(encoding="utf-8"))
    return {name: _page(entry) for name, entry in table.items()}


def _page(entry: dict[str, Any]) -> HelpPage:
    flags = []
    for given in entry["flags"]:
        choices = tuple(given["choices"]) if given.get("choices") else None
        flags.append(Flag(**{**given, "names": tuple(given["names"]), "choices": choices}))
    return HelpPage(entry["usage"], entry["description"], entry["groups"], tuple(flags))


def command_of(words: Sequence[str]) -> str:
    """The command that begins the words: two of them where the first has commands of its own.

    >>> command_of(["tokenizer", "train", "--help"]), command_of(["links", "--help"])
    ('tokenizer train', 'links')
    """
    pair = " ".join(words[:2])
    return pair if pair in pages() else words[0]


def asked_for(words: Sequence[str]) -> str | None:
    """The help that a command line asks for; None where it asks for none."""
    before = words[: words.index("--")] if "--" in words else words
    asked = [word for word in before[1:] if word in WORDS]
    return help_text(command_of(words), every=asked[0] == HELP_ALL) if asked else None


def help_text(command: str, *, every: bool) -> str:
    """The help of a command: with every flag, or with the common ones."""
    parser = _parser(command, pages()[command])
    return parser.format_every_flag() if every else parser.format_help()


def _parser(command: str, page: HelpPage) -> Parser:
    """A parser that is only asked for its help."""
    common = COMMON.get(command, ())
    names = {name for flag in page.flags for name in flag.names}
    parser = Parser(
        prog=f"webtext {command}",
        usage=page.usage,
        description=escaped(page.description),
        common=[*(name for name in common if name in names), *(name for names in TEXTS for name in names)] if common else (),
    )
    groups = {title: parser.add_argument_group(title, escaped(text) or None) for title, text in page.groups.items()}
    for flag in page.flags:
        _add(groups.get(flag.group, parser), flag)
    output = parser.add_argument_group("output")
    for switches, text in TEXTS.items():
        options: dict[str, Any] = {"choices": FORMATS} if switches == (FLAG,) else {"action": "store_true"}
        output.add_argument(*switches, help=text, **options)
    return parser


def _add(group: argparse._ActionsContainer, flag: Flag) -> None:
    options: dict[str, Any] = {"help": escaped(flag.text)}
    if flag.nargs == 0:
        options["action"] = "store_true"
    else:
        options |= {"nargs": flag.nargs, "metavar": flag.metavar, "choices": flag.choices}
    if flag.required:
        options["required"] = True
    group.add_argument(*flag.names, **options)


def escaped(text: str) -> str:
    """The text as argparse's help wants it."""
    return text.replace("%", "%%")

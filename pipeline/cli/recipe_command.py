"""`webtext recipe`: list the shipped recipes, or show the settings that a run would have, each with its source."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.cli import recipes
from pipeline.cli.registry import RUN, WHOLE_TEXTS
from pipeline.cli.run_command import parse_run, run_parser
from pipeline.storage.files import exists, join
from pipeline.storage.manifest import NAME
from tokenizer.command_line import Parser

ACTIONS = ("list", "show")


def recipe_parser() -> Parser:
    """The parser of the command's first word."""
    parser = Parser(prog="webtext recipe", usage="webtext recipe (list | show [flags of run])", description=WHOLE_TEXTS["recipe"])
    parser.add_argument("action", choices=ACTIONS, help="list: names and sources; show: a recipe file, to keep and to change")
    return parser


def list_parser() -> Parser:
    """The parser of `recipe list`, which takes no flag."""
    return Parser(prog="webtext recipe list", description="list the shipped recipes, with their sources")


def run_recipe(argv: Sequence[str]) -> None:
    """Run the command. Usage errors exit with SystemExit(2) and one line."""
    action = recipe_parser().parse_args(list(argv[:1])).action
    if action == "list":
        list_parser().parse_args(list(argv[1:]))
        sys.stdout.writelines(f"{name:<14} {_title(text)}\n" for name, text in recipes.shipped().items())
        return
    run = parse_run(argv[1:], run_parser("recipe show", needs_output=False))
    if run.corpus and exists(join(run.corpus, RUN[0], NAME)):
        sys.stdout.write(f"{recipes.CORPUS} = {recipes.toml_text(str(Path(run.corpus).resolve()))}\n\n")
    sys.stdout.writelines(f"{line}\n" for line in recipes.toml_lines(run.values))


def _title(text: str) -> str:
    """The first line of a recipe, a comment."""
    return text.splitlines()[0].removeprefix("# ")

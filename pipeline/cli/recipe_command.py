"""`webtext recipe`: list the shipped recipes, or show the settings that a run would have, each with its source."""

import sys
from collections.abc import Sequence

from pipeline.cli import recipes
from pipeline.cli.run_command import parse_run, run_parser
from tokenizer.command_line import Parser

RECIPE_TEXT = "list the shipped recipes, or show the settings that a run would have, each with its source"
ACTIONS = ("list", "show")


def run_recipe(argv: Sequence[str]) -> None:
    """Run the command. Usage errors exit with SystemExit(2) and one line."""
    parser = Parser(prog="webtext recipe", usage="webtext recipe (list | show [flags of run])", description=RECIPE_TEXT)
    parser.add_argument("action", choices=ACTIONS, help="list: names and sources; show: a recipe file, to keep and to change")
    action = parser.parse_args(list(argv[:1])).action
    if action == "list":
        parser.parse_args(list(argv))
        sys.stdout.writelines(f"{name:<14} {_title(text)}\n" for name, text in recipes.shipped().items())
        return
    run = parse_run(argv[1:], run_parser("recipe show", needs_output=False))
    sys.stdout.writelines(f"{line}\n" for line in recipes.toml_lines(run.values))


def _title(text: str) -> str:
    """The first line of a recipe, a comment."""
    return text.splitlines()[0].removeprefix("# ")

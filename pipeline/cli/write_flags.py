"""`python -m pipeline.cli.write_flags`: write the table of all commands' flags from their parsers, for help and completion."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.cli import completion_command, help_pages, recipe_command, vary_command
from pipeline.cli.registry import COMPLETION, STAGES, TOKENIZER, TOOL_TEXTS, TOOLS
from pipeline.cli.run_command import run_parser
from pipeline.cli.stage_command import stage_parser
from tokenizer.cli import build_parser

PATH = Path(__file__).with_name(help_pages.TABLE)


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and its parser."""
    for name, stage in STAGES.items():
        yield name, stage_parser(stage)
    yield "run", run_parser()
    yield "vary", vary_command.vary_parser()
    yield "recipe", recipe_command.recipe_parser()
    yield "recipe list", recipe_command.list_parser()
    yield "recipe show", run_parser("recipe show", needs_output=False)
    for name, tool in TOOLS.items():
        yield name, tool.parser(TOOL_TEXTS[name])
    tokenizer = build_parser(f"webtext {TOKENIZER}")
    yield TOKENIZER, tokenizer
    for name, parser in _subcommands(tokenizer).items():
        yield f"{TOKENIZER} {name}", parser
    yield COMPLETION, completion_command.completion_parser()


def table() -> dict[str, Any]:
    """The table of all commands, as JSON values."""
    return {name: _entry(parser) for name, parser in parsers()}


def table_text() -> str:
    """The table as JSON, with a line per flag, so that changes can be read and merged."""
    lines = []
    for name, entry in table().items():
        flags = ",\n".join(f"   {json.dumps(flag, ensure_ascii=False)}" for flag in entry["flags"])
        head = ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(entry[key], ensure_ascii=False)}" for key in ("usage", "description", "groups")
        )
        lines.append(f' {json.dumps(name)}: {{\n{head},\n  "flags": [\n{flags}\n  ]\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    action = next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None)
    return dict(action.choices) if action else {}


def _entry(parser: argparse.ArgumentParser) -> dict[str, Any]:
    commands = _subcommands(parser)
    description = parser.description or ""
    if commands:
        rows = [f"  {name:<10} {command.description}" for name, command in commands.items()]
        description = "\n".join([description, "", "commands:", *rows])
    groups = [group for group in parser._action_groups if group._group_actions and group.title not in _DEFAULT_TITLES]
    of_action = {id(action): group.title for group in groups for action in group._group_actions}
    formatter = parser._get_formatter()
    usage = parser.usage or formatter_usage(parser)
    return {
        "usage": usage,
        "description": description,
        "groups": {group.title: group.description or "" for group in groups},
        "flags": [
            _flag(action, of_action.get(id(action), ""), formatter)
            for action in parser._actions
            if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        ],
    }


_DEFAULT_TITLES = ("positional arguments", "options", "optional arguments")


def formatter_usage(parser: argparse.ArgumentParser) -> str:
    """The usage that argparse makes, of the required flags and of the words; `[flags]` stands for the others."""
    words = [parser.prog]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words.append("COMMAND")
        elif action.option_strings and action.required:
            words.append(f"{action.option_strings[-1]} {_value(action)}")
        elif not action.option_strings:
            words.append(_value(action))
    return " ".join([*words, "[flags]"])


def _value(action: argparse.Action) -> str:
    value = str(action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper()))
    return f"{value} …" if action.nargs in ("+", "*") else value


def _flag(action: argparse.Action, group: str | None, formatter: argparse.HelpFormatter) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "names": list(action.option_strings) or [action.dest],
        "text": formatter._expand_help(action) if action.help else "",
        "group": group or "",
        "nargs": action.nargs,
        "metavar": action.metavar or (None if action.choices or action.nargs == 0 else action.dest.upper()),
        "choices": [str(choice) for choice in action.choices] if action.choices else None,
        "required": bool(action.option_strings) and action.required,
    }
    return {key: value for key, value in entry.items() if value is not None and value is not False}


if __name__ == "__main__":
    PATH.write_text(table_text(), encoding="utf-8")

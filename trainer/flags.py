"""Flags for the fields of a recipe: `learning_rate` becomes `--learning-rate`; a switch also gets a `--no-` form."""

import argparse
import typing
from dataclasses import Field, fields
from typing import Any

from tokenizer import command_line
from tokenizer.errors import InputError
from trainer.config import ModelConfig, TrainConfig


class TrainerParser(command_line.Parser):
    """A parser that raises InputError for a usage error: the command prints its one line and returns 2."""

    def error(self, message: str) -> typing.NoReturn:
        """Raise InputError with the line."""
        raise InputError(self.usage_error(message))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of the recipe and its model. The default None keeps the preset's value."""
    for title, kind in (("model", ModelConfig), ("recipe", TrainConfig)):
        group = parser.add_argument_group(title)
        hints = typing.get_type_hints(kind)
        for item in fields(kind):
            if item.metadata:
                _add(group, item, hints[item.name])


def flag_values(arguments: argparse.Namespace) -> dict[str, Any]:
    """Recipe fields set on the command line, with their values."""
    names = [item.name for kind in (ModelConfig, TrainConfig) for item in fields(kind) if item.metadata]
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def apply_flags(config: TrainConfig, arguments: argparse.Namespace) -> TrainConfig:
    """The recipe with the fields set on the command line. Raises InputError for a value out of range."""
    values = flag_values(arguments)
    try:
        changed = config.with_options(**values)
    except ValueError as error:
        raise InputError(str(error)) from error
    if values.get("warmup_steps", 0) > changed.steps:
        raise InputError(
            f"--warmup-steps {changed.warmup_steps}: longer than the run of {changed.steps} steps, whose learning rate would never "
            "reach --learning-rate; lower it or raise --steps"
        )
    return changed


def _add(group: argparse._ArgumentGroup, item: Field[Any], kind: Any) -> None:
    flag = f"--{item.name.replace('_', '-')}"
    text = item.metadata["text"].replace("%", "%%")
    if kind is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    choices = item.metadata["choices"] or None
    metavar = None if choices else {int: "N", float: "X", str: "TEXT"}[kind]
    parse = {int: command_line.whole, float: command_line.real}.get(kind, kind)
    group.add_argument(flag, type=parse, default=None, choices=choices, metavar=metavar, help=text)

"""The recipe's options as flags: `learning_rate` is `--learning-rate`, a switch also has its `--no-`."""

import argparse
import typing
from dataclasses import Field, fields
from typing import Any

from trainer.config import InputError, ModelConfig, TrainConfig


class Parser(argparse.ArgumentParser):
    """Whose errors are one line and exit code 2, and which takes no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": _Tight, **options})

    def error(self, message: str) -> typing.NoReturn:
        """Raise it: the command line prints it as any other fault of the input."""
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


class _Tight(argparse.HelpFormatter):
    """Help that fits a screen: one line a flag where it can."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=38, width=120)


def add_options(parser: argparse.ArgumentParser) -> None:
    """A flag for every option of the recipe and of its model; none given leaves the preset's."""
    for title, kind in (("model", ModelConfig), ("recipe", TrainConfig)):
        group = parser.add_argument_group(title)
        hints = typing.get_type_hints(kind)
        for item in fields(kind):
            if item.metadata:
                _add(group, item, hints[item.name])


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that the command line names."""
    names = [item.name for kind in (ModelConfig, TrainConfig) for item in fields(kind) if item.metadata]
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}


def with_given(config: TrainConfig, arguments: argparse.Namespace) -> TrainConfig:
    """The recipe with the command line's options. Raises InputError for a value out of range."""
    try:
        return config.with_options(**given(arguments))
    except ValueError as error:
        raise InputError(str(error)) from error


def _add(group: argparse._ArgumentGroup, item: Field[Any], kind: Any) -> None:
    flag = f"--{item.name.replace('_', '-')}"
    text = item.metadata["text"].replace("%", "%%")
    if kind is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        return
    choices = item.metadata["choices"] or None
    metavar = None if choices else {int: "N", float: "X", str: "TEXT"}[kind]
    group.add_argument(flag, type=kind, default=None, choices=choices, metavar=metavar, help=text)

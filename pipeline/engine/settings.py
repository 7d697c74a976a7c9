"""Settings of a stage: a frozen dataclass gives its flags, its defaults, its help and what its manifest records."""

import argparse
import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import MISSING, Field, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from pipeline.storage import files
from pipeline.storage.files import InputError

T = TypeVar("T")


def setting(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] | None = None,
    recorded: bool = True,
    file: bool = False,
    metavar: str | None = None,
) -> Any:
    """A field that is also the flag `--name`.

    `recorded=False` is for what cannot change the output (a number of threads, say): it stays out of the manifest.
    `file=True` marks a path (or several) whose content, not name, is recorded.
    """
    metadata = {"text": text, "choices": choices, "recorded": recorded, "file": file, "metavar": metavar}
    return field(default=default, metadata=metadata)


def add_arguments(parser: argparse._ActionsContainer, kind: type[Any], shared: Collection[str] = ()) -> None:
    """Give the parser a flag for every setting of the dataclass `kind`, but those `shared` with one that has given it already."""
    hints = typing.get_type_hints(kind)
    for item in fields(kind):
        if item.name not in shared:
            _add_argument(parser, item, hints[item.name])


def from_arguments(kind: type[T], arguments: argparse.Namespace) -> T:
    """The settings that the parsed flags give. A ValueError of the dataclass (a value out of range) becomes an InputError."""
    values = {item.name: getattr(arguments, item.name) for item in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except ValueError as error:
        raise InputError(str(error)) from error


def recorded(settings: Any) -> dict[str, Any]:
    """What the manifest says of the settings: JSON values, files by their sha256."""
    return {
        item.name: _recorded_value(getattr(settings, item.name), file=item.metadata["file"])
        for item in fields(settings)
        if item.metadata["recorded"]
    }


def _recorded_value(value: Any, *, file: bool) -> Any:
    if isinstance(value, (tuple, list)):
        return [_recorded_value(item, file=file) for item in value]
    if file and value is not None and files.exists(value):
        return f"sha256:{files.fingerprint(value)}"
    return str(value) if isinstance(value, StrEnum) else value


def _add_argument(parser: argparse._ActionsContainer, item: Field[Any], hint: Any) -> None:
    default = None if item.default is MISSING else item.default
    metadata = item.metadata
    flag = f"--{item.name}"
    text = metadata["text"].replace("%", "%%")
    if hint is bool:
        text = f"{text} (default: {'on' if default else 'off'})"
        parser.add_argument(flag, f"--no_{item.name}", dest=item.name, action=_Switch, default=default, help=text)
        return
    shown = "" if default in (None, ()) else f" (default: {default})"
    kind, many = _value_type(hint)
    parser.add_argument(
        flag,
        action=_Many if many else "store",
        type=kind,
        nargs="*" if many else None,
        default=default,
        choices=metadata["choices"],
        metavar=metadata["metavar"] or (None if metadata["choices"] else kind.__name__.upper().replace("STR", "TEXT")),
        help=text + shown,
    )


def _value_type(hint: Any) -> tuple[Any, bool]:
    """The type of one value and whether the flag takes many, of `int`, `str | None`, `tuple[str, ...]`."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    if isinstance(hint, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None)), False
    return hint, False


class _Many(argparse.Action):
    """`--name a b` and `--name a --name b` are the same: a flag given twice loses nothing."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(before if isinstance(before, list) else []), *values])


class _Switch(argparse.Action):
    """`--name` and `--no_name`, snake_case as Beam's flags are."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, _parser: Any, namespace: argparse.Namespace, _values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, not (option or "").startswith("--no_"))

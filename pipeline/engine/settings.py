"""Settings of a stage: one frozen dataclass defines its flags, their defaults and help, and what its manifest records."""

import argparse
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from pipeline.storage import files
from tokenizer.command_line import real, whole
from tokenizer.errors import DISK_ERRORS, FormatError, InputError, path_fault

T = TypeVar("T")
METAVARS: dict[type, str] = {int: "N", float: "X", str: "TEXT"}
MIN_GROUPED = 10_000
"""Numbers from here on are shown with commas: 2017 may be a year."""


def setting(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] | None = None,
    recorded: bool = True,
    file: bool = False,
    reads: Callable[[str], object] | None = None,
    metavar: str | None = None,
) -> Any:
    """A dataclass field that is also the flag `--name`, with hyphens for underscores; `text` is its help.

    `recorded=False` keeps a setting that cannot change the output, such as a number of threads, out of the manifest.
    `file=True` marks a path, or several, whose content is recorded instead of its name. `reads` opens and parses the file or
    folder that one value names: `check_files` calls it before any work starts.
    """
    metadata = {"text": text, "choices": choices, "recorded": recorded, "file": file, "reads": reads, "metavar": metavar}
    return field(default=default, metadata=metadata)


def flag_of(name: str) -> str:
    """The flag of a setting.

    >>> flag_of("min_karma")
    '--min-karma'
    """
    return f"--{name.replace('_', '-')}"


def add_arguments(parser: argparse._ActionsContainer, kind: type[Any], names: Sequence[str] = ()) -> None:
    """Give the parser a flag for every setting of the dataclass `kind`, or for those named alone."""
    hints = typing.get_type_hints(kind)
    for item in (one for one in fields(kind) if not names or one.name in names):
        _add_argument(parser, item, hints[item.name])


def add_argument_groups(parser: argparse.ArgumentParser, kinds: Mapping[str, type[Any]]) -> None:
    """Give the parser a group of flags per dataclass; a setting that several have becomes one flag, in the first group.

    Raises ValueError where such a setting differs in type, default or help: one flag cannot serve both.
    """
    first: dict[str, tuple[str, object]] = {}
    for name, kind in kinds.items():
        group, hints = parser.add_argument_group(name), typing.get_type_hints(kind)
        for item in fields(kind):
            declaration = (hints[item.name], item.default, item.default_factory, dict(item.metadata))
            if item.name not in first:
                first[item.name] = name, declaration
                _add_argument(group, item, hints[item.name])
            elif first[item.name][1] != declaration:
                raise ValueError(
                    f"{flag_of(item.name)}: '{first[item.name][0]}' and '{name}' declare it differently; "
                    "give it the same type, default and help in both, or two names"
                )


def from_arguments(kind: type[T], arguments: argparse.Namespace) -> T:
    """Settings from parsed flags. Raises InputError where the dataclass raises ValueError, as for a value out of range."""
    values = {item.name: getattr(arguments, item.name) for item in fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    except ValueError as error:
        raise InputError(str(error)) from error


def check_files(settings: Any) -> None:
    """Open and parse every file and folder that the settings name. Raises InputError with the flag and the path of the first bad one.

    A settings class whose files must fit each other has a method `check`, which is called last and raises InputError.
    """
    for name, path, reads in _user_files(settings):
        _check_file(name, path, reads)
    if check := getattr(settings, "check", None):
        check()


def user_paths(settings: Any) -> list[str]:
    """The paths of all files and folders that the settings name."""
    return [path for _, path, _ in _user_files(settings)]


def _user_files(settings: Any) -> Iterator[tuple[str, str, Callable[[str], object]]]:
    """The name of each setting that names a file, one path of it, and what reads it."""
    for item in fields(settings):
        reads, value = item.metadata["reads"], getattr(settings, item.name)
        if reads is not None and value is not None:
            yield from ((item.name, path, reads) for path in (value if isinstance(value, tuple) else [value]))


def _check_file(name: str, path: str, reads: Callable[[str], object]) -> None:
    flag = flag_of(name)
    try:
        reads(path)
    except (InputError, FormatError) as error:
        raise InputError(str(error) if flag in str(error) else f"{flag} {error}") from error
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        raise InputError(f"{flag} {path}: {path_fault(error)}") from error
    except ValueError as error:  # a zero byte in a path, a scheme that no file system has
        raise InputError(f"{flag} {path}: cannot be read ({error}); give another path") from error


def to_manifest(settings: Any) -> dict[str, Any]:
    """The settings as the manifest records them: JSON values, and the sha256 of files."""
    return {
        item.name: _manifest_value(getattr(settings, item.name), file=item.metadata["file"])
        for item in fields(settings)
        if item.metadata["recorded"]
    }


def _manifest_value(value: Any, *, file: bool) -> Any:
    if isinstance(value, (tuple, list)):
        return [_manifest_value(item, file=file) for item in value]
    if file and value is not None and files.exists(value):
        return f"sha256:{files.fingerprint(value)}"
    return str(value) if isinstance(value, StrEnum) else value


def _add_argument(parser: argparse._ActionsContainer, item: Field[Any], hint: Any) -> None:
    default = None if item.default is MISSING else item.default
    metadata = item.metadata
    flag = flag_of(item.name)
    text = metadata["text"].replace("%", "%%")
    if hint is bool:
        text = f"{text} (default: {'on' if default else 'off'})"
        parser.add_argument(flag, f"--no-{flag[2:]}", dest=item.name, action=_Switch, default=default, help=text)
        return
    shown = f" (default: {_default_text(default)})" if _default_text(default) else ""
    kind, many = value_type(hint)
    parser.add_argument(
        flag,
        action=_Many if many else "store",
        type={int: whole, float: real}.get(kind, kind),
        nargs="*" if many else None,
        default=default,
        choices=metadata["choices"],
        metavar=metadata["metavar"] or (None if metadata["choices"] else METAVARS[kind]),
        help=text + shown,
    )


def _default_text(value: Any) -> str:
    """A default in a person's words; empty where there is none.

    >>> _default_text(("en", "de")), _default_text(0.7), _default_text(50257), _default_text(())
    ('en de', '0.7', '50,257', '')
    """
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:,}" if type(value) is int and value >= MIN_GROUPED else str(value)


def value_type(hint: Any) -> tuple[Any, bool]:
    """The type of one value, and whether the flag takes several. Hints are such as `int`, `str | None` and `tuple[str, ...]`."""
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    if isinstance(hint, types.UnionType):
        return next(a for a in typing.get_args(hint) if a is not type(None)), False
    return hint, False


class _Many(argparse.Action):
    """Appends values, so that `--name a b` and `--name a --name b` mean the same."""

    def __call__(self, _parser: Any, namespace: argparse.Namespace, values: Any, _option: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(before if isinstance(before, list) else []), *values])


class _Switch(argparse.Action):
    """`--name` sets True, `--no-name` False."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, _parser: Any, namespace: argparse.Namespace, _values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, not (option or "").startswith("--no-"))

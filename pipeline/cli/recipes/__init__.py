"""Recipes: TOML files with settings by stage. The folder holds those that are shipped.

A setting's value comes from, in this order: a flag, the recipe of --config, the folder's own record, the default.
"""

import tomllib
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from pipeline.engine.settings import value_type
from pipeline.storage import files
from pipeline.storage.manifest import NAME, StageManifest
from tokenizer.command_line import suggestion
from tokenizer.errors import InputError

CORPUS = "corpus"
"""The key, before the first table, that names the corpus which the settings made: `webtext vary` starts from it."""

FILE_PREFIX = "sha256:"
"""A manifest records of a user's file its content: its path cannot be taken from there."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it comes from, in words."""

    value: Any
    source: str


Values = dict[tuple[str, str], Value]
"""Values by stage and setting."""


def shipped() -> dict[str, str]:
    """Name and text of every shipped recipe."""
    folder = resources("pipeline.cli.recipes")
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".toml"))
    return {name.removesuffix(".toml"): folder.joinpath(name).read_text(encoding="utf-8") for name in names}


def load_recipe(name: str, kinds: Mapping[str, type[Any]]) -> Values:
    """The values of a shipped recipe, or of a TOML file. `kinds` are the settings' classes by stage.

    Raises InputError for a file that cannot be read, and for a table, key or type that no stage has.
    """
    values: Values = {}
    for stage, table in _tables(name).items():
        if stage == CORPUS and isinstance(table, str):
            continue
        if stage not in kinds:
            raise InputError(f"--config {name}: no stage '{stage}'{suggestion(stage, kinds)}")
        if not isinstance(table, dict):
            raise InputError(f"--config {name}: '{stage}' is no table; write [{stage}] and the settings below it")
        values |= {(stage, key): Value(value, name) for key, value in _checked(name, stage, table, kinds[stage]).items()}
    return values


def corpus_of(name: str) -> str | None:
    """The corpus that a recipe names as the one that its settings made; None for a recipe that names none."""
    corpus = _tables(name).get(CORPUS)
    return corpus if isinstance(corpus, str) else None


def _tables(name: str) -> dict[str, Any]:
    """The tables of a shipped recipe, or of a TOML file. Raises InputError for a file that cannot be read."""
    known = shipped()
    if name not in known and not Path(name).is_file():
        raise InputError(f"--config {name}: no such file, and no recipe of that name; shipped are {', '.join(known)}")
    try:
        return tomllib.loads(known[name] if name in known else Path(name).read_text(encoding="utf-8", errors="strict"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {name}: not TOML ({error}); correct the file") from error


def _checked(name: str, stage: str, table: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """The table's values by field, of the fields' types."""
    hints = typing.get_type_hints(kind)
    known = {item.name.replace("_", "-"): item.name for item in fields(kind)}
    checked = {}
    for key, value in table.items():
        field = known.get(key.replace("_", "-"))
        if field is None:
            raise InputError(f"--config {name}: [{stage}] has no setting '{key}'{suggestion(key, known)}")
        one, many = value_type(hints[field])
        items = value if many and isinstance(value, list) else [value]
        if isinstance(value, list) != many or not all(_fits(item, one) for item in items):
            wanted = f"a list of {one.__name__}" if many else one.__name__
            raise InputError(f"--config {name}: [{stage}] {key} = {value!r}: give {wanted}")
        checked[field] = tuple(value) if many else value
    return checked


def _fits(value: Any, kind: type) -> bool:
    """Whether a TOML value is of the type; a whole number is a float too, a truth value is no number."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def recorded_values(corpus: str, kinds: Mapping[str, type[Any]]) -> Values:
    """The settings that the finished stages of a corpus record, but for files, whose paths they do not record."""
    values: Values = {}
    for stage, kind in kinds.items():
        folder = files.join(corpus, stage)
        if not files.exists(files.join(folder, NAME)):
            continue
        recorded = StageManifest.load(folder).settings
        for item in fields(kind):
            value = recorded.get(item.name)
            if item.name in recorded and not _names_file(value):
                values[stage, item.name] = Value(tuple(value) if isinstance(value, list) else value, folder)
    return values


def _names_file(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and item.startswith(FILE_PREFIX) for item in items)


def defaults(kinds: Mapping[str, type[Any]]) -> Values:
    """The default of every setting."""
    return {
        (stage, item.name): Value(None if item.default is MISSING else item.default, "default")
        for stage, kind in kinds.items()
        for item in fields(kind)
    }


def toml_lines(values: Values) -> list[str]:
    """The values as the lines of a recipe, each with its source as a comment. Settings without a value are comments too."""
    lines: list[str] = []
    for stage in dict.fromkeys(stage for stage, _ in values):
        lines += ["", f"[{stage}]"] if lines else [f"[{stage}]"]
        rows = [(name.replace("_", "-"), value) for (of, name), value in values.items() if of == stage]
        lines += [f"{_assignment(name, value.value):<50} # {value.source}" for name, value in rows]
    return lines


def _assignment(name: str, value: Any) -> str:
    return f"# {name} =" if value is None else f"{name} = {toml_text(value)}"


def toml_text(value: Any) -> str:
    """A setting's value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_text, value))}]"
    plain = {character for character in str(value) if character.isprintable() and character not in '"\\'}
    escaped = "".join(character if character in plain else f"\\U{ord(character):08x}" for character in str(value))
    return f'"{escaped}"'

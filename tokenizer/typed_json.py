"""JSON that others may have written, decoded into records: every field has its type and its range."""

import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from tokenizer.untrusted import check_values, read_file

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
"""Number of rows, documents or items."""
LargeCount = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
"""Number of bytes or tokens."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
"""In hexadecimal digits; empty for a file that is not kept."""

_EXPLAINED_BYTES = 1 << 20
"""In a larger file, an error names the field without its value: finding the value means to decode the file without types."""
_SHOWN_CHARACTERS = 80
_OWN_SHA256 = re.compile(rb'\n "sha256": "([^"\n]*)",(?=\n)')


def decode(data: bytes, kind: type[T]) -> T:
    """The record of class `kind` (dataclass, msgspec.Struct) in a JSON text.

    Raises ValueError that names the field, its value and what was expected, and for more values than fit into memory.

    >>> decode(b'{"rows": "7"}', typing.TypedDict("Rows", {"rows": int}))
    Traceback (most recent call last):
    ValueError: rows is '7': Expected `int`, got `str`
    """
    check_values(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(_explain(data, kind, error)) from error


def read(path: str | Path, kind: type[T]) -> T:
    """The record in a local file. Raises ValueError like `decode` and `read_file`."""
    return decode(read_file(path), kind)


def convert(value: Any, kind: type[T]) -> T:
    """The record of class `kind` with the fields of a dict. Raises ValueError like `decode`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(_explain_value(value, kind, error)) from error


def check_own_sha256(content: bytes) -> str | None:
    """The sha256 that a manifest carries in a line of its own; None if it has none.

    Raises ValueError unless it is the hash of the text without that line.
    """
    found = _OWN_SHA256.search(content)
    if found is None:
        return None
    rest = hashlib.sha256(content[: found.start()])
    rest.update(memoryview(content)[found.end() :])
    if rest.hexdigest().encode() != found[1]:
        raise ValueError("it does not match its own sha256")
    return found[1].decode()


def _explain(data: bytes, kind: type[Any], error: Exception) -> str:
    if len(data) > _EXPLAINED_BYTES:
        return _reworded(error)
    try:
        value = json.loads(data)  # it takes NaN, which is not JSON
    except (ValueError, RecursionError):
        return _reworded(error)
    return _explain_value(value, kind, error)


def _explain_value(value: Any, kind: Any, error: Exception) -> str:
    path, culprit, why = _culprit(value, kind, "", str(error))
    if not path:
        return _reworded(error)
    shown = repr(culprit)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
    return f"{path.removeprefix('.')} is {shown}: {why.partition(' - at ')[0]}"


def _reworded(error: Exception) -> str:
    text, _, path = str(error).partition(" - at `$")
    return f"{path.rstrip('`').removeprefix('.')}: {text}" if path else text


def _culprit(value: Any, kind: Any, path: str, why: str) -> tuple[str, Any, str]:
    """Path, value and fault of the innermost part that does not fit its type."""
    for step, part, part_kind in _parts(value, kind):
        if fault := _fault(part, part_kind):
            return _culprit(part, part_kind, path + step, fault)
    return path, value, why


def _fault(value: Any, kind: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number"
    try:
        json.dumps(value, allow_nan=False)
        if kind is not msgspec.Raw:  # its text is decoded later
            msgspec.convert(value, kind)
    except (ValueError, RecursionError) as error:
        return str(error)
    return ""


def _parts(value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Step, value and type of each part of an object or array."""
    if typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next((each for each in typing.get_args(kind) if each is not type(None)), kind)
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if isinstance(value, dict) and (is_dataclass(kind) or typing.is_typeddict(kind) or hasattr(kind, "__struct_fields__")):
        hints = typing.get_type_hints(kind, include_extras=True)
        yield from ((f".{name}", value[name], hint) for name, hint in hints.items() if name in value)
    elif isinstance(value, dict) and origin is dict and arguments:
        yield from ((f".{name}", part, arguments[1]) for name, part in value.items())
    elif isinstance(value, list) and origin in (list, tuple) and arguments:
        yield from ((f"[{i}]", part, arguments[0]) for i, part in enumerate(value))
    elif isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        yield from ((f".{name}" if isinstance(value, dict) else f"[{name}]", part, Any) for name, part in parts)

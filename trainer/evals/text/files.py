"""Read evaluation files. Malformed input raises InputError with the file and the line number."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizer.errors import InputError


def read_text(path: Path) -> str:
    """Read a UTF-8 file. Raises InputError for other bytes and for an empty file.

    CR LF becomes LF: the published files have no CR, and a checkout on Windows that puts some in would change every figure.
    """
    try:
        text = path.read_bytes().decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8; use the file as it is published") from error
    if not text.strip():
        raise InputError(f"{path}: empty; use the file as it is published")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each line that is not blank."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line


def check_file(path: Path) -> None:
    """Read a file to its end as its name says. Raises InputError where it is empty, not UTF-8 or, as JSON lines, not JSON."""
    if path.suffix == ".jsonl":
        read_records(path)
    elif path.suffix in (".txt", ".json", ".tokens", ".xml", ".sgm"):
        read_text(path)


def read_records(path: Path, **kinds: Any) -> list[dict[str, Any]]:
    """Read JSON lines whose records hold the fields of `kinds`, with these types. Raises InputError for the first bad line."""
    records = []
    for number, line in read_lines(path):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from error
        for name, kind in kinds.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise InputError(f"{path}, line {number}: a record needs '{name}' ({_kind_name(kind)})")
        records.append(record)
    return records


def _kind_name(kind: Any) -> str:
    return {str: "text", list: "a list", int: "a whole number"}.get(kind, "text or a number")

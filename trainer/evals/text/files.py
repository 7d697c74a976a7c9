"""Reading evaluation files: what is malformed gets one line with the file and the line number."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.config import InputError


def read_text(path: Path) -> str:
    """A UTF-8 file, its line ends as they are. Raises InputError for other bytes and for an empty file."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8; take the file as it is published") from error
    if not text.strip():
        raise InputError(f"{path}: empty; take the file as it is published")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of the lines that are not blank."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line


def read_records(path: Path, **kinds: Any) -> list[dict[str, Any]]:
    """JSON lines whose records hold at least the fields of `kinds`, of those types. Raises InputError naming the first bad line."""
    records = []
    for number, line in read_lines(path):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from error
        for name, kind in kinds.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise InputError(f"{path}, line {number}: a record needs '{name}' ({_word(kind)})")
        records.append(record)
    return records


def _word(kind: Any) -> str:
    return {str: "text", list: "a list", int: "a whole number"}.get(kind, "text or a number")

"""The texts of evaluation files as they are published: JSON, JSON lines, XML, SGML or plain text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.storage import files
from tokenizer.errors import InputError

_TAG = re.compile(r"<[^>]*>")


def read_examples(path: str) -> Iterator[str]:
    """One text per JSON record (all its strings, a line each), else the whole file, without XML or SGML tags.

    Raises InputError naming the line that is not JSON in a .json or .jsonl file.
    """
    data = files.read_bytes(path).decode(errors="replace")
    if path.endswith((".jsonl", ".json")):
        lines = data.split("\n") if path.endswith(".jsonl") else [data]
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield "\n".join(_strings(_parse(path, number, line)))
    else:
        yield _TAG.sub(" ", data) if path.endswith((".xml", ".sgm")) else data


def _parse(path: str, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}, line {number}: not JSON ({error}); give the file as it is published") from error


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)

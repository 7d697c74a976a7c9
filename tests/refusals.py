"""Commands of `webtext-train` that are refused: one line, exit code 2, and no file is touched."""

from pathlib import Path

import pytest

from trainer import cli


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The line of a command that is refused and changes nothing in a folder."""
    before = contents(folder)
    capsys.readouterr()
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert contents(folder) == before
    return line

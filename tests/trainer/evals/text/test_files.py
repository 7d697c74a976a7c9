"""Evaluation files as they come from checkouts and downloads."""

from pathlib import Path

import pytest

from trainer.evals.text.files import read_lines, read_text

TEXT = " \n = A page = \n \n The page , it says , is old . \n\n Another line . \n"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_ends_of_windows_change_no_text(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "wiki.test.tokens"
    path.write_bytes(TEXT.replace("\n", ending).encode())
    assert read_text(path) == TEXT
    assert [line for _, line in read_lines(path)] == [line for line in TEXT.split("\n") if line.strip()]


def test_other_control_characters_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"a\rb\x0bc\n")
    assert read_text(path) == "a\rb\x0bc\n"

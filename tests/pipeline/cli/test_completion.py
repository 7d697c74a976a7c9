"""`webtext completion`: all commands and flags, from the table of flags, completed by bash itself."""

import subprocess
from pathlib import Path

import pytest

from pipeline.cli import help_pages
from pipeline.cli.completion_command import program
from pipeline.cli.main import run
from tokenizer.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    text = capsys.readouterr().out
    for page in help_pages.pages().values():
        assert all(name.lstrip("-") in text for flag in page.flags for name in flag.names if name.startswith("-"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("webtext do", ["documents"]),
        ("webtext links --min", ["--min-karma"]),
        ("webtext links --karma ", ["max", "sum"]),
        ("webtext documents --no-strip-t", ["--no-strip-title"]),
        ("webtext documents --extractor bl", ["blocks"]),
        ("webtext tokenizer tr", ["train"]),
        ("webtext tokenizer train --tra", ["--trainer"]),
        ("webtext recipe s", ["show"]),
        ("webtext recipe show --thres", ["--threshold"]),
        ("webtext -v run --dry", ["--dry-run"]),
        ("webtext run --log-format j", ["json"]),
        ("webtext export --format lla", []),
        ("webtext export --format ll", ["llmc"]),
        ("webtext completion f", ["fish"]),
        ("webtext run --output here/cor", ["here/corpus"]),
        ("webtext run --submissions here/RS", ["here/RS_2017-07.zst"]),
        ("webtext run --submissions a here/RS", ["here/RS_2017-07.zst"]),
    ],
)
def test_bash_completes_real_commands(tmp_path: Path, line: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here" / "corpus").mkdir(parents=True)
    (tmp_path / "here" / "RS_2017-07.zst").touch()
    assert run(["completion", "bash"]) == 0
    words = f"{line}''" if line.endswith(" ") else line
    code = f"{capsys.readouterr().out}\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_webtext\n"
    done = subprocess.run(
        ["bash", "--norc", "-c", f'{code}printf "%s\\n" "${{COMPREPLY[@]}}"'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (expected, "")


def test_every_command_is_completed() -> None:
    assert set(program().commands) == set(help_pages.pages())

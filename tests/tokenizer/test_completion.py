"""Completion scripts, run by the shells themselves where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tokenizer.completion import SHELLS, CommandWords, FlagWord, Program, ValueKind, script, value_of

FLAGS = (
    FlagWord("--output", "folder", ValueKind.FOLDER),
    FlagWord("--texts", "files", ValueKind.FILE, many=True),
    FlagWord("--karma", "it's a rule", ValueKind.CHOICE, ("max", "sum")),
    FlagWord("--limit", "number", ValueKind.TEXT),
    FlagWord("--dry-run", "nothing"),
)
PROGRAM = Program(
    "web-text",
    {
        "links": CommandWords("choose links", FLAGS),
        "lists": CommandWords("show lists", (FlagWord("--json", "as JSON"),)),
        "tokenizer": CommandWords("tokenizers"),
        "tokenizer train": CommandWords(
            "learn", (FlagWord("--trainer", "how", ValueKind.CHOICE, ("counts", "library")),), files=True
        ),
        "tokenizer links": CommandWords("another links", (FlagWord("--other", "flag"),)),
        "shell": CommandWords("a word", (), ("bash", "zsh")),
    },
)
CASES = {
    "": "links lists shell tokenizer",
    "li": "links lists",
    "-q li": "links lists",
    "links --li": "--limit",
    "links --output out --ka": "--karma",
    "links --karma ": "max sum",
    "links --karma s": "sum",
    "links --limit ": "",
    "links --limit 5 --dry": "--dry-run",
    "links --karma sum --te": "--texts",
    "links --output fold": "folder",
    "links --texts fi": "file",
    "links --texts file fi": "file",
    "tokenizer ": "links train",
    "tokenizer train --tr": "--trainer",
    "tokenizer train --trainer ": "counts library",
    "tokenizer train fi": "file",
    "tokenizer links --o": "--other",
    "lists --j": "--json",
    "shell ": "bash zsh",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "script").touch()
    return tmp_path


def answer(command: list[str], folder: Path) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_bash_completes(folder: Path) -> None:
    last = {line: " ''" if not line or line.endswith(" ") else "" for line in CASES}
    calls = [f"COMP_WORDS=(web-text {line}{empty}); try" for line, empty in last.items()]
    program = [
        script(PROGRAM, "bash"),
        'try() { COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _web_text; echo "${COMPREPLY[*]}"; }',
        *calls,
    ]
    lines = answer(["bash", "--norc", "-c", "\n".join(program)], folder).split("\n")[: len(CASES)]
    found = {case: " ".join(sorted(line.split())) for case, line in zip(CASES, lines, strict=True)}
    assert found == {case: " ".join(sorted(words.split())) for case, words in CASES.items()}


def test_fish_completes(folder: Path) -> None:
    calls = [f"complete -C 'web-text {line}' | string split -f1 \\t | string join ' '; echo =" for line in CASES]
    parts = answer(["fish", "--no-config", "-c", "\n".join([script(PROGRAM, "fish"), *calls])], folder).split("=\n")
    found = {case: part.split() for case, part in zip(CASES, parts, strict=False)}
    for case, words in CASES.items():
        if case == "links --texts file fi":
            continue  # fish completes the first value of a flag
        assert set(words.replace("folder", "folder/").split()) <= set(found[case]), (case, found[case])
    assert not any(word.startswith("--") for word in found["links --karma "])


def test_zsh_completes(folder: Path) -> None:
    """The function alone, with zsh's own builtins for candidates replaced: they work inside the line editor only."""
    stand_ins = ["compdef() { }", 'compadd() { shift; print -r -- "$@" }', '_files() { print -r -- files "$@" }']
    calls = []
    for line in ("", "links --karma ", "links --output ", "links --texts a ", "tokenizer ", "tokenizer train --trainer "):
        words = ["web-text", *line.split(), ""]
        calls.append(f"words=({' '.join(repr(word) for word in words)}); CURRENT={len(words)}; _web_text")
    text = answer(["zsh", "-f", "-c", "\n".join([*stand_ins, script(PROGRAM, "zsh"), *calls])], folder)
    expected = ["links lists tokenizer shell", "max sum", "files -/", "files", "train links", "counts library"]
    assert [line.strip() for line in text.splitlines()] == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_and_flag(shell: str) -> None:
    text = script(PROGRAM, shell)
    for flag in FLAGS:
        assert flag.name.removeprefix("--") in text
    assert all(word in text for name in PROGRAM.commands for word in name.split())


@pytest.mark.parametrize(
    ("metavar", "choices", "nargs", "value"),
    [
        ("DIR", None, None, ValueKind.FOLDER),
        ("CHECKPOINT", None, None, ValueKind.FILE),
        ("FILE|TEXT", None, None, ValueKind.FILE),
        ("N", None, None, ValueKind.TEXT),
        ("PROFILE", None, None, ValueKind.TEXT),
        (None, ("a",), None, ValueKind.CHOICE),
        ("DIR", None, 0, ValueKind.NOTHING),
        (None, None, None, ValueKind.TEXT),
    ],
)
def test_what_follows_a_flag(metavar: str | None, choices: object, nargs: object, value: ValueKind) -> None:
    assert value_of(metavar, choices, nargs) == value

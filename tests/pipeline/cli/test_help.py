"""Help of every command: quick, complete, in a person's words."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.cli import help_pages, write_flags
from pipeline.cli.main import run
from pipeline.cli.registry import COMMANDS, STAGES, TOOLS
from pipeline.cli.stage_command import stage_parser
from pipeline.corpus.folder import STAGE_NAMES
from tokenizer.command_line import Parser

ROOT = Path(__file__).parents[3]
PARSERS = {**{name: stage_parser(stage) for name, stage in STAGES.items()}, **{name: TOOLS[name].parser() for name in TOOLS}}
HEAVY = ("apache_beam", "torch", "trafilatura", "numba", "matplotlib", "requests", "praw")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_registry_follows_the_order_of_the_data() -> None:
    assert tuple(STAGES) == STAGE_NAMES


def test_top_level_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert {word for word in COMMANDS if re.search(rf"^  {word} ", text, re.MULTILINE)} == set(COMMANDS)
    assert "exit codes:" in text
    assert "environment:" in text


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version").split() == ["webtext", version("webtext")]


@pytest.mark.parametrize("name", PARSERS)
def test_every_flag_has_help_and_a_readable_default(name: str) -> None:
    parser: Parser = PARSERS[name]
    for action in parser._actions:
        assert action.help, action.option_strings
        assert not re.search(r"\(default: (\)|\(|None|\[)", action.help), action.help
        assert all("_" not in flag for flag in action.option_strings), action.option_strings


@pytest.mark.parametrize("name", [*STAGES, *TOOLS, "run"])
def test_help_of_a_command_begins_with_how_to_call_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, name, "--help").startswith(f"usage: webtext {name}")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["linsk"], "no command 'linsk'; did you mean links?"),
        (["dedupe"], "did you mean dedup?"),
        (["xyz"], "no command 'xyz'; see webtext --help"),
        (["links", "--min_karam", "3"], "unknown flag: --min_karam 3; did you mean --min-karma?"),
        (["pages", "--input", "x", "--limit", "3"], "unknown flag: --limit 3; it is a flag of links"),
        (["tokens", "--min_karma=3"], "unknown flag: --min_karma=3; it is a flag of links"),
        (["run", "--output", "x", "--languges", "en"], "did you mean --languages?"),
        (["inspect", "--corpus", "x", "--strat", "5"], "did you mean --start?"),
        (["documents", "--workers", "none"], "'none' is not a whole number of at least 1"),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    error = capsys.readouterr().err
    assert (ended.value.code, len(error.splitlines())) == (2, 1)
    assert answer in error


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["nothing"]])
def test_top_level_help_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\nfrom pipeline.__main__ import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("name", ["links", "pages", "documents", "dedup", "tokens", "status", "verify", "export"])
def test_help_of_a_command_does_not_import_beam(name: str) -> None:
    code = f"import sys\nfrom pipeline.cli.registry import STAGES, TOOLS\n{'STAGES' if name in STAGES else 'TOOLS'}[{name!r}]\n"
    code += "print('apache_beam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr


def test_help_of_no_command_imports_anything_heavy() -> None:
    """What is measured is work, not time: the imports that took seconds."""
    code = (
        "import io, sys\nfrom pipeline.__main__ import main\nout = sys.stdout\nsys.stdout = io.StringIO()\n"
        f"for name in {sorted(help_pages.pages())}:\n    for flag in ('-h', '--help', '--help-all'):\n"
        "        try:\n            main([*name.split(), flag])\n        except SystemExit as ended:\n            assert not ended.code\n"
        f"print([name for name in {(*HEAVY, 'pyarrow', 'numpy', 'orjson')} if name in sys.modules], file=out)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_table_of_flags_is_that_of_the_parsers() -> None:
    assert write_flags.PATH.read_text() == write_flags.table_text(), "run `make flags`"


def test_every_command_has_a_page() -> None:
    assert {name.split()[0] for name in help_pages.pages()} == set(COMMANDS)


@pytest.mark.parametrize("name", help_pages.pages())
def test_every_flag_on_a_page_has_help_in_words(name: str) -> None:
    for flag in help_pages.pages()[name].flags:
        assert len(flag.text) > 2, flag.names
        assert not re.search(r"\(default: (\)|\(|None|\[|['\"])|<class|<function|functools|dataclass", flag.text), flag
        assert flag.metavar not in ("INT", "FLOAT", "STR"), flag


@pytest.mark.parametrize("name", help_pages.COMMON)
def test_common_flags_are_flags_and_fewer(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    every = {word for flag in help_pages.pages()[name].flags for word in flag.names}
    assert set(help_pages.COMMON[name]) <= every
    shown, all_shown = (printed(capsys, *name.split(), flag) for flag in ("--help", "--help-all"))
    assert len(shown.splitlines()) < min(64, len(all_shown.splitlines()))
    hidden = int(re.search(r"^(\d+) more flags: webtext", shown, re.MULTILINE)[1])
    assert len(help_pages.COMMON[name]) + hidden == len(help_pages.pages()[name].flags)
    for flag in help_pages.pages()[name].flags:
        spelled = re.compile(rf"^  .*{flag.names[0]}\b", re.MULTILINE)
        assert spelled.search(all_shown)
        assert bool(spelled.search(shown)) == (not set(flag.names).isdisjoint(help_pages.COMMON[name])) or flag.names[0] in shown


@pytest.mark.parametrize(
    "words", [["links", "--urls", "a", "--help"], ["tokenizer", "train", "x", "-h"], ["recipe", "show", "-h"]]
)
def test_help_is_answered_wherever_it_is_asked_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *words).startswith("usage: webtext ")

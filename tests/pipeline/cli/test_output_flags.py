"""-q, -v and --log-format: before or after the command word, in force for one command."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import run
from pipeline.cli.output_flags import OutputFlags, take_output_flags
from tokenizer.errors import InputError
from tokenizer.terminal import OUTPUT

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "left", "flags"),
    [
        (["-q", "links"], ["links"], OutputFlags(quiet=True)),
        (["links", "--quiet"], ["links"], OutputFlags(quiet=True)),
        (["links", "--urls", "a", "-v"], ["links", "--urls", "a"], OutputFlags(verbose=True)),
        (["links", "--log-format", "json"], ["links"], OutputFlags(log_format="json")),
        (["--log-format=json", "links"], ["links"], OutputFlags(log_format="json")),
        (["links", "--log_format=text"], ["links"], OutputFlags()),
        (["links", "--", "-q"], ["links", "--", "-q"], OutputFlags()),
        (["links", "--verbosee"], ["links", "--verbosee"], OutputFlags()),
    ],
)
def test_the_flags_are_taken_from_anywhere(words: list[str], left: list[str], flags: OutputFlags) -> None:
    assert take_output_flags(words) == (left, flags)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--log-format", "jsn"], "--log-format jsn: give text or json; did you mean json?"),
        (["--log-format"], "give text or json"),
        (["-q", "-v"], "give one of them"),
    ],
)
def test_a_mistake_is_named(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as raised:
        take_output_flags(words)
    assert message in str(raised.value)


def test_they_end_with_their_command(capsys: pytest.CaptureFixture[str]) -> None:
    level = logging.getLogger("pipeline").level
    assert run(["-q", "--log-format", "json", "recipe", "list"]) == 0
    assert (OUTPUT.quiet, OUTPUT.json_lines, logging.getLogger("pipeline").level) == (False, False, level)
    assert "webtext" in capsys.readouterr().out


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_log_of_json_tells_errors_too(tmp_path: Path) -> None:
    done = command("links", "--log-format", "json", "--urls", str(tmp_path / "none"), "--output", str(tmp_path / "out"))
    assert done.returncode == 2
    (entry,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert entry["level"] == "error"
    assert "no such file" in entry["message"]


def test_verbose_names_phases_and_quiet_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("http://a.example/\n")
    words = ["links", "--urls", str(tmp_path / "urls"), "--workers", "1"]
    assert "links intake: 1 of 1 parts to do" in command(*words, "--output", str(tmp_path / "v"), "-v").stderr
    assert command(*words, "--output", str(tmp_path / "q"), "-q").stderr == ""

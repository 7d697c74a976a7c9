"""The documentation names commands, flags, recipes, settings and targets that exist, with values that they take."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from string import Template

import pytest
from doc_blocks import ROOT, blocks, commands_of, inline_commands, is_shell, site_pages

from pipeline.cli.beam_flags import unknown_to_beam
from pipeline.cli.recipes import shipped
from pipeline.cli.vary_command import flags_of
from pipeline.cli.write_flags import parsers
from tokenizer.command_line import Parser
from tokenizer.errors import InputError
from trainer.cli import _parser as trainer_parser
from trainer.compare.command import parser as compare_parser
from trainer.flags import apply_flags
from trainer.presets import PRESETS, RECIPES
from trainer.subcommands import PARSERS

PLACEHOLDERS = re.compile(r"^[A-Z_]{3,}$|…")
"""Words that stand for others: the commands that hold one are held to their flags alone."""
EVERYWHERE = {"--help", "--help-all", "--version", "-q", "-v", "--quiet", "--verbose", "--log-format", "-h"}


@cache
def known() -> dict[str, Parser]:
    """Every command of both programs and its parser."""
    found = {f"webtext {name}": parser for name, parser in parsers()}
    (action,) = (
        action for action in trainer_parser()._actions if hasattr(action, "choices") and isinstance(action.choices, dict)
    )
    found |= {f"webtext-train {name}": parser for name, parser in action.choices.items()}
    found |= {f"webtext-train {name}": make() for name, make in PARSERS.items()}
    return found | {"webtext-train compare": compare_parser()}


@cache
def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def is_beams(flag: str) -> bool:
    """Whether Beam has a flag."""
    try:
        return not unknown_to_beam([flag, "1"]) or not unknown_to_beam([flag])
    except InputError:
        return False


def faults(words: list[str], *, whole: bool) -> Iterator[str]:
    """What is wrong with a command. A `whole` command must be one that its parser takes."""
    program, *rest = words
    if program == "make":
        yield from (f"no target {word}" for word in rest[:1] if not PLACEHOLDERS.search(word) and word not in targets())
        return
    if not rest or rest[0] in EVERYWHERE or PLACEHOLDERS.search(rest[0]) or rest[0].startswith("--"):
        return
    name = next((name for count in (2, 1) if (name := " ".join([program, *rest[:count]])) in known()), None)
    if name is None:
        yield f"no command {program} {rest[0]}"
        return
    parser, flags = known()[name], rest[len(name.split()) - 1 :]
    if name == "webtext recipe" and flags[:1] in (["list"], ["show"]):
        flags = []
    yield from _unknown_flags(name, flags)
    yield from _unknown_values(flags)
    helps = {"--help", "--help-all"} & set(flags)
    if whole and name != "webtext recipe" and not helps and not any(map(PLACEHOLDERS.search, flags)):
        try:
            parser.parse_known_args(flags)
        except (InputError, SystemExit) as error:
            yield f"{' '.join(words)}: {error}"


def _unknown_flags(name: str, flags: list[str]) -> Iterator[str]:
    options = {flag.partition("=")[0] for flag in flags if re.match(r"--?[a-z]", flag)}
    unknown = options - EVERYWHERE - set(known()[name].flags())
    if name != "webtext-train launch":
        yield from (f"no flag {flag}" for flag in unknown if name.startswith("webtext-train") or not is_beams(flag))


def _unknown_values(flags: list[str]) -> Iterator[str]:
    for flag, value in pairwise(flags):
        if flag == "--config" and not value.endswith(".toml") and value not in shipped() and not PLACEHOLDERS.search(value):
            yield f"no recipe {value}"
        if flag == "--set" and not PLACEHOLDERS.search(value):
            try:
                flags_of([value])
            except InputError as error:
                yield str(error)


@pytest.mark.parametrize("name", [str(page.relative_to(ROOT)) for page in site_pages()])
def test_commands_in_the_documentation_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / name
    if name in ("docs/log.md", "docs/measurements.md"):
        pytest.skip("a record of former days: its commands are those of then")
    lines = [(line, words, True) for block in blocks(page) if is_shell(block) for line, words in commands_of(block)]
    lines += [(line, words, False) for line, words in inline_commands(page)]
    wrong = [f"line {line}: {fault}" for line, words, whole in lines for fault in faults(words, whole=whole)]
    assert not wrong, "\n".join([*wrong, capsys.readouterr().err])


def expanded_commands(text: str) -> list[list[str]]:
    """The commands of a shell's lines in order, with the variables that earlier lines set."""
    variables: dict[str, str] = {}
    commands = []
    for line in map(str.strip, text.splitlines()):
        words = shlex.split(Template(line).substitute(variables))
        name, assigns, value = line.partition("=")
        if assigns and name.isidentifier() and name.isupper():
            variables[name] = shlex.split(Template(value).substitute(variables))[0]
        elif words:
            commands.append(words)
    return commands


def test_the_commands_of_a_first_session_on_gpus_are_taken_as_they_stand() -> None:
    text = "\n".join(block.text for block in blocks(ROOT / "docs/gpu.md") if is_shell(block) or not block.language)
    commands = [words for words in expanded_commands(text) if words[0] not in ("nvidia-smi", "nsys")]
    ours = [words for words in commands if words[0] == "webtext-train"]
    wrong = [fault for words in ours for fault in faults(words, whole=True)]
    launched = [["webtext-train", *words[4:]] for words in ours if words[1:3] == ["launch", "--ranks"]]
    wrong += [fault for words in launched for fault in faults(words, whole=True)]
    assert not wrong, "\n".join(wrong)
    assert (len(ours) > 25, len(launched) > 5) == (True, True)
    folders = [words[words.index("--out") + 1] for words in ours if "--out" in words]
    assert len(set(folders)) == len(folders), "each run has a folder of its own"
    for words in (words for words in ours if words[1] == "train"):
        arguments = known()["webtext-train train"].parse_args(words[2:])
        apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
    (roofline,) = (words for words in commands if words[1:2] == ["benchmarks/roofline.py"])
    assert subprocess.run([sys.executable, *roofline[1:]], cwd=ROOT, capture_output=True, check=False).returncode == 0


WRONG = {
    "webtext fetch --corpus corpus": "no command",
    "webtext links --min-kharma 3": "no flag --min-kharma",
    "webtext card --corpus corpus --name a": "2",
    "webtext run --output corpus --config gophers": "no recipe",
    "webtext vary --corpus a --output b --set dedup.treshold=1": "no setting",
    "webtext documents --corpus corpus --extractor best": "2",
    "webtext export --corpus corpus --format csv --output a": "2",
    "webtext-train trian tiny": "no command",
    "webtext-train train gpt2-tiny --data a --out b": "invalid choice",
    "webtext-train compare a b --out c --seeds many": "many",
    "make bread": "no target",
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_commands_are_seen(command: str) -> None:
    assert re.search(WRONG[command], "\n".join(faults(command.split(), whole=True)))


def test_commands_are_found() -> None:
    assert sum(1 for page in site_pages() for block in blocks(page) if is_shell(block) for _ in commands_of(block)) > 50
    assert any(words[:2] == ["make", "lock"] for words in (words for _, words in inline_commands(ROOT / "CONTRIBUTING.md")))

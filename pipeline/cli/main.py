"""The command line: one command per stage, with flags from its settings; `run` for all stages; and one command per tool."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.cli import beam_flags
from pipeline.cli.recipe_command import RECIPE_TEXT, run_recipe
from pipeline.cli.registry import STAGE_TEXTS, STAGES, TOOL_TEXTS, TOOLS
from pipeline.cli.run_command import RUN_TEXT, run_all
from pipeline.engine.runner import Engine
from pipeline.engine.settings import add_arguments, from_arguments
from pipeline.engine.stage import Call, Stage
from pipeline.storage.files import join
from pipeline.storage.places import check_folder, naming
from pipeline.storage.remote import remote_fault
from tokenizer.command_line import Parser, suggestion
from tokenizer.errors import NETWORK_FAILED, InputError, OutageError
from tokenizer.faults import answer, check_arguments
from tokenizer.labels import printable
from tokenizer.outputs import written_aside
from tokenizer.terminal import control, error_line

PROGRAM = "webtext"
RECIPE, TOKENIZER = "recipe", "tokenizer"
COMMANDS = (*STAGES, "run", RECIPE, *TOOLS, TOKENIZER)
DESCRIPTION = "Reddit links in, a de-duplicated corpus and Arrow token shards out: GPT-2's WebText, stage by stage."
LONGEST_HEAD = 1_000
"""Bytes of an HTML page in which its generator is named."""

ON_FULL_DISK = "finished parts are kept: free space or fix the disk, then run the same command again"
EPILOG = """`webtext COMMAND --help` shows a command's flags. Underscores in our flags work as hyphens do; Beam's flags keep
its spelling.

exit codes:
  0    done
  1    failed: a traceback or Beam's error says where
  2    bad usage or input: one line says what to correct, and nothing was changed
  74   the disk is full or fails: finished parts are kept
  75   the network is down: finished links are kept, and the same command goes on
  130  interrupted: the same command goes on where it stopped
  141  the reader of the output went away, as `head` does

environment:
  praw_client_id, praw_client_secret, …    Reddit's keys, for --subreddits: PRAW reads them, or praw.ini
  TMPDIR                                   sockets of local workers, and small temporary files
Nothing else is read: the crawl takes no proxy from the environment (--proxy names one).
"""


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return answer(lambda: _run(argv), on_full_disk=ON_FULL_DISK)


def _run(argv: Sequence[str]) -> int:
    check_arguments(argv)
    name = argv[0] if argv else "--help"
    if name == TOKENIZER:
        from tokenizer.cli import run as run_tokenizer  # late: its compiler takes a moment to import

        return run_tokenizer(argv[1:], prog=f"{PROGRAM} {TOKENIZER}")
    if name not in COMMANDS:
        _parse_top_level(name)
    try:
        if name == "run":
            run_all(argv[1:])
        elif name == RECIPE:
            run_recipe(argv[1:])
        elif name in TOOLS:
            TOOLS[name].run(argv[1:], TOOL_TEXTS[name])
        else:
            _run_one(STAGES[name], argv[1:])
    except OutageError as error:
        sys.stderr.write(f"error: {error_line(error)}\n")
        return NETWORK_FAILED
    except OSError as error:
        if fault := remote_fault(error):
            raise InputError(f"{fault}; check the address, the keys and the network") from error
        raise
    return 0


def _parse_top_level(word: str) -> None:
    """Answer --help, --version or an unknown command, and exit."""
    parser = Parser(prog=PROGRAM, usage=f"{PROGRAM} COMMAND [flags]", description=_overview(), epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('webtext')}")
    if word.startswith("-"):
        parser.parse_args([word])
    parser.error(f"no command '{word}'{suggestion(word, COMMANDS)}")


def _overview() -> str:
    tools = {**TOOL_TEXTS, TOKENIZER: "train, evaluate, export and import tokenizers and token shards by themselves"}
    return (
        f"{DESCRIPTION}\n\nstages, in the order of the data:\n{_table(STAGE_TEXTS)}\n{_table({'run': RUN_TEXT, RECIPE: RECIPE_TEXT})}"
        f"\n\ntools:\n{_table(tools)}"
    )


def _table(texts: Mapping[str, str]) -> str:
    return "\n".join(f"  {name:<11} {text}" for name, text in texts.items())


def _stage_parser(stage: Stage[Any]) -> Parser:
    parser = Parser(prog=f"{PROGRAM} {stage.name}", usage=_usage(stage), description=STAGE_TEXTS[stage.name])
    for name in stage.inputs:
        parser.add_argument(_input_flag(stage, name), dest=f"input_{name}", metavar="DIR", help=f"folder of stage '{name}'")
    parser.add_argument("--output", metavar="DIR", help="folder to fill")
    parser.add_argument("--corpus", metavar="DIR", help="corpus folder: stands for all folders, which have the stages' names")
    if stage.explain_input is not None:
        parser.add_argument("--explain", metavar="URL", help="only print what these settings do to one page of --input")
    if stage.explain_html is not None:
        parser.add_argument(
            "--html",
            metavar="FILE",
            help="with --explain: write an HTML page that shows each block of the page, kept or dropped; --input may also be an HTML file",
        )
    if stage.explain_output is not None:
        parser.add_argument("--explain", metavar="ID", help="only print what --output holds on one document")
    add_arguments(parser.add_argument_group("settings"), stage.settings)
    beam_flags.add_engine_arguments(parser)
    return parser


def _usage(stage: Stage[Any]) -> str:
    folders = ["--input DIR", *(f"--{name} DIR" for name in stage.inputs[1:])] if stage.inputs else []
    shown = ["--corpus DIR"] if len(folders) > 2 else [*folders, "--output DIR"]
    return f"{PROGRAM} {stage.name} {' '.join(shown)} [flags] [Beam flags]"


def _run_one(stage: Stage[Any], argv: Sequence[str]) -> None:
    parser = _stage_parser(stage)
    arguments, engine = beam_flags.parse(parser, argv)
    with naming(*engine.also_read):
        _run_stage(stage, parser, arguments, engine)


def _run_stage(stage: Stage[Any], parser: argparse.ArgumentParser, arguments: argparse.Namespace, engine: Engine) -> None:
    if stage.explain_output is not None and arguments.explain is not None:
        control(sys.stdout, stage.explain_output(_folder(parser, arguments, "--output", stage.name), arguments.explain) + "\n")
        return
    inputs = {name: _folder(parser, arguments, _input_flag(stage, name), name) for name in stage.inputs}
    settings = from_arguments(stage.settings, arguments)
    if stage.explain_input is not None and arguments.explain is not None:
        _explain_input(stage, inputs[stage.inputs[0]], arguments, settings)
        return
    if getattr(arguments, "html", None) is not None:
        parser.error("--html goes with --explain URL")
    output = _folder(parser, arguments, "--output", stage.name)
    stage.run(Call(inputs, output, settings, engine))


def _explain_input(stage: Stage[Any], source: str, arguments: argparse.Namespace, settings: Any) -> None:
    """Print what the stage does to one item, or write it as an HTML page. Raises InputError where another file has the page's name."""
    assert stage.explain_input is not None
    if stage.explain_html is None or arguments.html is None:
        sys.stdout.write(stage.explain_input(source, arguments.explain, settings) + "\n")
        return
    path, mark = Path(arguments.html), f'content="{PROGRAM} {stage.name} --explain"'.encode()
    if path.exists() and not (path.is_file() and mark in path.read_bytes()[:LONGEST_HEAD]):
        raise InputError(f"--html {path}: exists and is no page of this command; choose another path")
    page = stage.explain_html(source, arguments.explain, settings)
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
    sys.stdout.write(f"{printable(path)}\n")


def _input_flag(stage: Stage[Any], name: str) -> str:
    return "--input" if name == stage.inputs[0] else f"--{name}"


def _folder(parser: argparse.ArgumentParser, arguments: argparse.Namespace, flag: str, name: str) -> str:
    """The folder of the stage `name`, from its own flag or below --corpus."""
    folder: str | None = getattr(arguments, "output" if flag == "--output" else f"input_{name}")
    if folder is None and arguments.corpus is None:
        parser.error(f"{flag} is required (or --corpus DIR, which stands for all folders)")
    if folder is None:
        folder = join(arguments.corpus, name)
        check_folder(folder)
    return folder

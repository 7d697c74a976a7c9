"""`webtext STAGE`: the flags of one stage from its settings, and its run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.cli import beam_flags
from pipeline.cli.registry import STAGE_TEXTS, STAGES
from pipeline.engine.runner import Engine
from pipeline.engine.settings import add_arguments, from_arguments
from pipeline.engine.stage import Call, Stage
from pipeline.storage.files import join
from pipeline.storage.places import check_folder, naming
from tokenizer.command_line import Parser
from tokenizer.errors import InputError
from tokenizer.labels import printable
from tokenizer.outputs import written_aside
from tokenizer.terminal import control

LONGEST_HEAD = 1_000
"""Bytes of an HTML page in which its generator is named."""


def run_stage(name: str, argv: Sequence[str]) -> None:
    """Run one stage. Usage errors exit with SystemExit(2) and one line."""
    stage = STAGES[name]
    parser = stage_parser(stage)
    arguments, engine = beam_flags.parse(parser, argv)
    with naming(*engine.also_read):
        _run(stage, parser, arguments, engine)


def stage_parser(stage: Stage[Any]) -> Parser:
    """The parser of a stage's flags."""
    parser = Parser(prog=f"webtext {stage.name}", usage=_usage(stage), description=STAGE_TEXTS[stage.name])
    for name in stage.inputs:
        parser.add_argument(_input_flag(stage, name), dest=f"input_{name}", metavar="DIR", help=f"folder of stage '{name}'")
    parser.add_argument("--output", metavar="DIR", help="folder to fill")
    parser.add_argument("--corpus", metavar="DIR", help="corpus folder: stands for all folders, which have the stages' names")
    if stage.explain_input is not None:
        parser.add_argument("--explain", metavar="URL", help="only print what these settings do to one page of --input")
    if stage.explain_html is not None:
        text = "with --explain: write an HTML page that shows each block, kept or dropped; --input may also be an HTML file"
        parser.add_argument("--html", metavar="FILE", help=text)
    if stage.explain_output is not None:
        parser.add_argument("--explain", metavar="ID", help="only print what --output holds on one document")
    add_arguments(parser.add_argument_group("settings"), stage.settings)
    beam_flags.add_engine_arguments(parser)
    return parser


def _usage(stage: Stage[Any]) -> str:
    folders = ["--input DIR", *(f"--{name} DIR" for name in stage.inputs[1:])] if stage.inputs else []
    shown = ["--corpus DIR"] if len(folders) > 2 else [*folders, "--output DIR"]
    return f"webtext {stage.name} {' '.join(shown)} [flags] [Beam flags]"


def _run(stage: Stage[Any], parser: argparse.ArgumentParser, arguments: argparse.Namespace, engine: Engine) -> None:
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
    path, mark = Path(arguments.html), f'content="webtext {stage.name} --explain"'.encode()
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

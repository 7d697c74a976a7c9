"""The command line: one command per stage, with flags from its settings; `run` for all stages; and one command per tool."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystem import BeamIOError

from pipeline.cli import beam_flags
from pipeline.cli.registry import RUN, STAGES, TOOLS
from pipeline.engine.settings import add_argument_groups, add_arguments, check_files, from_arguments
from pipeline.engine.stage import Call, Stage
from pipeline.engine.worker_pool import persistent_workers
from pipeline.storage.files import join, remote_fault
from pipeline.storage.manifest import Books
from tokenizer.command_line import Parser, answer, check_arguments
from tokenizer.errors import DISK_FAILED, InputError

DESCRIPTION = "Reddit links in, a de-duplicated corpus and Arrow token shards out: GPT-2's WebText, stage by stage."
ON_FULL_DISK = "finished parts are kept: free space or fix the disk, then run the same command again"
RUN_TEXT = "all stages but overlap, into one corpus folder; finished stages are skipped"


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    return answer(lambda: _run(argv), on_full_disk=ON_FULL_DISK, disk_failed=DISK_FAILED)


def _run(argv: Sequence[str]) -> int:
    check_arguments(argv)
    name = argv[0] if argv else "--help"
    if name not in {*STAGES, *TOOLS, "run"}:
        _parser().parse_args([name])
    try:
        if name == "run":
            _run_all(argv[1:])
        elif name in TOOLS:
            TOOLS[name].run(argv[1:])
        else:
            _run_one(STAGES[name], argv[1:])
    except BeamIOError as error:
        raise InputError(f"{remote_fault(error)}; check the address, the keys and the network") from error
    return 0


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {stage.name:<11} {stage.text}" for stage in STAGES.values())
    tools = "\n".join(f"  {tool.name:<11} {tool.text}" for tool in TOOLS.values())
    parser = Parser(
        prog="python -m pipeline",
        usage="python -m pipeline STAGE --input DIR --output DIR [flags] [Beam flags]",
        description=f"{DESCRIPTION}\n\nstages, in the order of the data:\n{stages}\n  {'run':<11} {RUN_TEXT}"
        f"\n\ntools for a corpus folder:\n{tools}",
        epilog="python -m pipeline STAGE --help shows a stage's flags.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=[*STAGES, "run", *TOOLS], metavar="STAGE", help="one of the above")
    return parser


def _stage_parser(stage: Stage[Any]) -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"python -m pipeline {stage.name}",
        usage=_usage(stage),
        description=stage.text,
        formatter_class=_Tight,
    )
    for name in stage.inputs:
        parser.add_argument(_input_flag(stage, name), dest=f"input_{name}", metavar="DIR", help=f"folder of stage '{name}'")
    parser.add_argument("--output", metavar="DIR", help="folder to fill")
    parser.add_argument("--corpus", metavar="DIR", help="corpus folder: stands for all folders, which have the stages' names")
    if stage.explain_input is not None:
        parser.add_argument("--explain", metavar="URL", help="only print what these settings do to one page of --input")
    if stage.explain_output is not None:
        parser.add_argument("--explain", metavar="ID", help="only print what --output holds on one document")
    add_arguments(parser.add_argument_group("settings"), stage.settings)
    beam_flags.add_engine_arguments(parser)
    return parser


def _usage(stage: Stage[Any]) -> str:
    folders = ["--input DIR", *(f"--{name} DIR" for name in stage.inputs[1:])] if stage.inputs else []
    shown = ["--corpus DIR"] if len(folders) > 2 else [*folders, "--output DIR"]
    return f"python -m pipeline {stage.name} {' '.join(shown)} [flags] [Beam flags]"


def _run_one(stage: Stage[Any], argv: Sequence[str]) -> None:
    parser = _stage_parser(stage)
    arguments, engine = beam_flags.parse(parser, argv)
    if stage.explain_output is not None and arguments.explain is not None:
        sys.stdout.write(stage.explain_output(_folder(parser, arguments, "--output", stage.name), arguments.explain) + "\n")
        return
    inputs = {name: _folder(parser, arguments, _input_flag(stage, name), name) for name in stage.inputs}
    settings = from_arguments(stage.settings, arguments)
    if stage.explain_input is not None and arguments.explain is not None:
        sys.stdout.write(stage.explain_input(inputs[stage.inputs[0]], arguments.explain, settings) + "\n")
        return
    output = _folder(parser, arguments, "--output", stage.name)
    stage.run(Call(inputs, output, settings, engine))


def _input_flag(stage: Stage[Any], name: str) -> str:
    return "--input" if name == stage.inputs[0] else f"--{name}"


def _folder(parser: argparse.ArgumentParser, arguments: argparse.Namespace, flag: str, name: str) -> str:
    """The folder of the stage `name`, from its own flag or below --corpus."""
    folder: str | None = getattr(arguments, "output" if flag == "--output" else f"input_{name}")
    if folder is None and arguments.corpus is None:
        parser.error(f"{flag} is required (or --corpus DIR, which stands for all folders)")
    return folder or join(arguments.corpus, name)


def _run_all(argv: Sequence[str]) -> None:
    parser = Parser(
        prog="python -m pipeline run",
        usage="python -m pipeline run --output DIR (--submissions FILE … | --urls FILE … | --subreddits NAME …) [flags]",
        description=f"Runs {RUN_TEXT}: {', '.join(RUN)}.",
        formatter_class=_Tight,
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="corpus folder; each stage fills a folder of its name in it"
    )
    add_argument_groups(parser, {name: STAGES[name].settings for name in RUN})
    beam_flags.add_engine_arguments(parser)
    arguments, engine = beam_flags.parse(parser, argv)
    settings = {name: from_arguments(STAGES[name].settings, arguments) for name in RUN}
    for name in RUN:
        check_files(settings[name])  # a mistyped word list must not fail after a day's crawl
    with persistent_workers(engine, engine.workers) as engine:
        for name in RUN:
            stage = STAGES[name]
            inputs = {read: join(arguments.output, read) for read in stage.inputs}
            manifest = stage.run(Call(inputs, join(arguments.output, name), settings[name], engine))
            _check_not_empty(name, manifest.books)


def _check_not_empty(stage: str, books: Books) -> None:
    """Raise InputError if a stage left nothing for the next, with the commonest reason."""
    if books.items_out or (stage == "vocabulary" and not books.items_in):  # a given vocabulary is made from no documents
        return
    if not books.items_in:
        raise InputError(f"{stage}: its input is empty, so no later stage has work; check the files and flags that it reads")
    reason = max(sorted(books.dropped), key=lambda name: books.dropped[name])
    raise InputError(
        f"{stage}: nothing is left of {books.items_in:,}, most were dropped as '{reason}'; no later stage was started. "
        f"Change the input or the flags of {stage}, then run again with --replace"
    )


class _Tight(argparse.HelpFormatter):
    """Help that fits a screen: one line per flag where possible."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=120)

"""Flags that say where and how to run: our own and Beam's. A flag that neither we nor Beam know is an error.

Beam alone only warns of unknown flags: a typo in --min-karma would silently build another corpus.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import NoReturn

from pipeline.engine.cores import usable_cores
from pipeline.engine.runner import Engine, is_local_runner
from pipeline.storage.places import add_also_read
from tokenizer.command_line import Parser, positive_int, suggestion
from tokenizer.errors import InputError
from tokenizer.faults import install_command

MOST_WORKERS = 1_024
RUNNERS = ("DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner")


def add_engine_arguments(parser: Parser) -> None:
    """Add the flags that every stage takes besides its settings."""
    group = parser.add_argument_group("running", "Beam's own flags work too (--runner DataflowRunner --region …)")
    group.add_argument(
        "--workers",
        type=_workers,
        default=usable_cores(),
        metavar="N",
        help="local processes, and threads that hash the input (default: one per core that this process may use)",
    )
    group.add_argument(
        "--replace", action="store_true", help="rebuild a stage whose settings or inputs changed, instead of refusing"
    )
    add_also_read(group)
    parser.describe_unknown = partial(_unknown_text, parser)


def _workers(text: str) -> int:
    value = positive_int(text)
    if value > MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text}: at most {MOST_WORKERS:,}")
    return value


def parse(parser: Parser, argv: Sequence[str]) -> tuple[argparse.Namespace, Engine]:
    """Our flags, and an engine from the engine's and Beam's flags. An unknown flag prints one line and raises SystemExit(2).

    Raises InputError for a runner that Beam does not have, and for what a runner finds missing.
    """
    arguments, rest = parser.parse_known_args(list(argv))
    if unknown := _unknown_text(parser, rest):
        parser.error(unknown)
    if rest:
        _check_runner(rest)
    return arguments, Engine(arguments.workers, tuple(rest), arguments.replace, also_read=tuple(arguments.also_read))


def _unknown_text(parser: Parser, words: Sequence[str]) -> str:
    """The message about words that neither we nor Beam know; empty for none."""
    unknown = unknown_to_beam(words)
    if not unknown:
        return ""
    return f"unknown flag: {' '.join(unknown)}{_owners_text(unknown[0]) or suggestion(unknown[0], parser.flags())}"


def _owners_text(flag: str) -> str:
    """`; it is a flag of links`, where other stages have the flag."""
    from pipeline.cli.registry import STAGES

    name = flag.partition("=")[0].removeprefix("--").replace("-", "_")
    owners = [stage for stage in STAGES if name in {item.name for item in fields(STAGES[stage].settings)}]
    return f"; it is a flag of {' and '.join(owners)}" if owners else ""


def _check_runner(flags: Sequence[str]) -> None:
    """Raise InputError where Beam would fail at its first pipeline, an hour after the start."""
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TestOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    options = PipelineOptions(list(flags))
    name = options.view_as(StandardOptions).runner
    if is_local_runner(name):
        if options.view_as(TestOptions).dry_run:
            raise InputError(
                "--dry_run: the local engine has none, and would run for real; leave it out, or add --runner DataflowRunner"
            )
        return
    try:
        runner = create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        way_out = f"run {install_command('gcp')}" if "dataflow" in name.lower() else f"give one of {', '.join(RUNNERS)}"
        raise InputError(f"--runner {name}: Beam has no such runner here; {way_out}, or leave it out for this machine") from error
    if errors := PipelineOptionsValidator(options, runner).validate():
        raise InputError(f"--runner {name}: {' '.join(' '.join(error.split()) for error in errors)}")


def unknown_to_beam(flags: Sequence[str]) -> list[str]:
    """The flags that no option class of Beam takes."""
    if not flags:
        return []
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = _BeamParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)  # type: ignore[arg-type]  # Beam offers no public way to ask
    for action in parser._actions:
        action.required = False
    return parser.parse_known_args(list(flags))[1]


class _BeamParser(argparse.ArgumentParser):
    """The parser of Beam's flags, whose usage would fill a screen."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError with argparse's message."""
        raise InputError(f"Beam's flags: {message}; give the flag as Beam's documentation does")

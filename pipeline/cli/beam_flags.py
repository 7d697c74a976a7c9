"""Flags that say where and how to run: our own and Beam's. A flag that neither we nor Beam know is an error.

Beam alone only warns of unknown flags: a typo in --min_karma would silently build another corpus.
"""

import argparse
import os
from collections.abc import Sequence

from pipeline.engine.runner import Engine
from pipeline.storage.places import add_also_read
from tokenizer.command_line import Parser, positive_int, suggestion


def add_engine_arguments(parser: Parser) -> None:
    """Add the flags that every stage takes besides its settings."""
    group = parser.add_argument_group("running", "Beam's own flags work too (--runner DataflowRunner --region …)")
    group.add_argument(
        "--workers",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="local processes, and threads that hash the input (default: one per core)",
    )
    group.add_argument(
        "--replace", action="store_true", help="rebuild a stage whose settings or inputs changed, instead of refusing"
    )
    add_also_read(group)


def parse(parser: Parser, argv: Sequence[str]) -> tuple[argparse.Namespace, Engine]:
    """Our flags, and an engine from the engine's and Beam's flags. An unknown flag prints one line and raises SystemExit(2)."""
    arguments, rest = parser.parse_known_args(list(argv))
    if unknown := unknown_to_beam(rest):
        parser.error(f"unknown flag: {' '.join(unknown)}{suggestion(unknown[0], parser.flags())}")
    return arguments, Engine(arguments.workers, tuple(rest), arguments.replace, also_read=tuple(arguments.also_read))


def unknown_to_beam(flags: Sequence[str]) -> list[str]:
    """The flags that no option class of Beam takes."""
    if not flags:
        return []
    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)  # type: ignore[arg-type]  # Beam offers no public way to ask
    for action in parser._actions:
        action.required = False
    return parser.parse_known_args(list(flags))[1]

"""Command-line flags: ours from the stages' settings, Beam's from Beam; a flag that neither knows is an error.

Beam alone only warns of unknown flags: a typo in --min_karma would silently build another corpus.
"""

import argparse
import os
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.engine.runner import Engine


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say where and how to run, the same for every stage."""
    group = parser.add_argument_group("running", "Beam's own flags are taken too (--runner DataflowRunner --region …)")
    group.add_argument(
        "--workers",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="local processes, and threads that hash the input (default: one a core)",
    )
    group.add_argument(
        "--replace", action="store_true", help="rebuild stages whose settings or inputs changed, instead of refusing"
    )


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, Engine]:
    """Our flags, and the engine that the others describe. Exits with 2 and one line on a flag that nobody knows."""
    arguments, rest = parser.parse_known_args(list(argv))
    unknown = unknown_to_beam(rest)
    if unknown:
        parser.error(f"unknown flag: {' '.join(unknown)} (see {parser.prog} --help)")
    return arguments, Engine(arguments.workers, tuple(rest), arguments.replace)


def unknown_to_beam(flags: Sequence[str]) -> list[str]:
    """Those of `flags` that no option class of Beam takes."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        if hasattr(options, "_add_argparse_args"):
            options._add_argparse_args(parser)  # type: ignore[arg-type]  # Beam offers no public way to ask
    for action in parser._actions:
        action.required = False
    return parser.parse_known_args(list(flags))[1]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return value

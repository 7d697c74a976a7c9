"""`python -m pipeline STAGE …`: dispatch only."""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from pipeline import options
from pipeline.engine import Engine, stop_on_signals
from pipeline.files import InputError, join
from pipeline.settings import add_arguments, from_arguments
from pipeline.stage import Call, Stage
from pipeline.stages import RUN, STAGES

DESCRIPTION = "Reddit links in, a de-duplicated corpus and Arrow token shards out: GPT-2's WebText, stage by stage."
ADVICE = "Run the same command to go on."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 bad usage or input (one line says what), 1 failed."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    for noisy in ("apache_beam", "root", "urllib3", "trafilatura", "py3langid"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    name = argv[0] if argv else "--help"
    if name not in {*STAGES, "run"}:
        _parser().parse_args([name] if name.startswith("-") else argv[:1])
        return 0
    stop_on_signals(ADVICE)
    try:
        if name == "run":
            _run_all(argv[1:])
        else:
            _run_one(STAGES[name], argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {stage.name:<11} {stage.text}" for stage in STAGES.values())
    everything = f"  {'run':<11} all of them into one folder; those that are done are skipped"
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        usage="python -m pipeline STAGE --input DIR --output DIR [flags] [Beam flags]",
        description=f"{DESCRIPTION}\n\nstages, in the order of the data:\n{stages}\n{everything}",
        epilog="python -m pipeline STAGE --help shows a stage's flags.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("stage", choices=[*STAGES, "run"], metavar="STAGE", help="one of the above")
    return parser


def _stage_parser(stage: Stage) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m pipeline {stage.name}", description=stage.text, allow_abbrev=False)
    for position, name in enumerate(stage.inputs):
        flag = "--input" if position == 0 else f"--{name}"
        parser.add_argument(flag, dest=f"input_{name}", required=True, metavar="DIR", help=f"folder of stage '{name}'")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to fill")
    add_arguments(parser.add_argument_group("settings"), stage.settings)
    options.add_engine_arguments(parser)
    return parser


def _run_one(stage: Stage, argv: Sequence[str]) -> None:
    arguments, engine = options.parse(_stage_parser(stage), argv)
    inputs = {name: getattr(arguments, f"input_{name}") for name in stage.inputs}
    stage.run(Call(inputs, arguments.output, from_arguments(stage.settings, arguments), engine))


def _run_all(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline run", description="All stages, into one folder.", allow_abbrev=False
    )
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="corpus folder; each stage fills a folder of its name in it"
    )
    for name in RUN:
        add_arguments(parser.add_argument_group(name), STAGES[name].settings)
    options.add_engine_arguments(parser)
    arguments, engine = options.parse(parser, argv)
    settings = {name: from_arguments(STAGES[name].settings, arguments) for name in RUN}
    for name in RUN:
        _run_stage(STAGES[name], arguments.output, settings[name], engine)


def _run_stage(stage: Stage, corpus: str, settings: Any, engine: Engine) -> None:
    inputs = {name: join(corpus, name) for name in stage.inputs}
    stage.run(Call(inputs, join(corpus, stage.name), settings, engine))


if __name__ == "__main__":
    sys.exit(main())

"""`python -m pipeline report --corpus DIR`: the report of whatever stages of a corpus folder have finished."""

import argparse
from collections.abc import Sequence

from pipeline.engine import Engine
from pipeline.jobs.report import STAGE, ReportSettings
from pipeline.report.corpus import Corpus
from pipeline.settings import add_arguments, from_arguments
from pipeline.stage import Call


def main(argv: Sequence[str]) -> int:
    """Write the report; 0. Raises InputError for what the user must mend."""
    parser = argparse.ArgumentParser(prog="python -m pipeline report", description=STAGE.text, allow_abbrev=False)
    parser.add_argument("--corpus", required=True, metavar="DIR", help="corpus folder that `python -m pipeline run` filled")
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for report.html, report.json, loss.svg")
    add_arguments(parser.add_argument_group("settings"), ReportSettings)
    arguments = parser.parse_args(list(argv))
    corpus = Corpus.below(arguments.corpus)
    STAGE.run(Call(dict(corpus.folders), arguments.output, from_arguments(ReportSettings, arguments), Engine()))
    return 0

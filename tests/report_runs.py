"""Reports written for a test, and their numbers."""

import json
from pathlib import Path
from typing import Any

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.report.stage import STAGE, ReportSettings


def write_report(corpus: Path, output: Path, **settings: Any) -> None:
    inputs = {name: str(corpus / name) for name in STAGE.inputs}
    STAGE.run(Call(inputs, str(output), ReportSettings(**settings), Engine()))


def report_json(report: Path) -> Any:
    return json.loads((report / "report.json").read_bytes())

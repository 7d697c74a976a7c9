"""Evaluations of runs that diverged: their figures are null in JSON, and the report says so."""

import json
import math
from pathlib import Path

from pipeline.report.training import read_evaluation
from pipeline.report.training_html import evaluations


def test_a_figure_that_is_not_finite_is_shown_as_that(tmp_path: Path) -> None:
    results = [
        {"task": "lambada", "metric": "perplexity", "value": None},
        {"task": "ptb", "metric": "perplexity", "value": 35.76},
    ]
    (tmp_path / "results.json").write_text(json.dumps({"results": results}))
    figures = read_evaluation(str(tmp_path))
    assert math.isnan(figures[0].value)
    assert figures[1].value == 35.76
    page = evaluations(tuple(figures))
    assert "not finite" in page
    assert "35.76" in page
    assert "nan" not in page.lower().replace("nanoseconds", "")

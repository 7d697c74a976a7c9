"""Huge and wrong values in every JSON file: its readers refuse it in one line or use it, in bounded time and memory."""

from pathlib import Path

import pytest
from gauntlet.json_values import MOST_MEGABYTES, VALUES
from gauntlet.test_faults import FULL, run_program

FILES = {
    *(f"corpus/{stage}/{name}.json" for stage in ("links", "pages", "tokens", "overlap") for name in ("manifest", "run")),
    *("corpus/overlap/overlap.json", "run/config.json", "run/log.jsonl", "hf/config.json", "tokenizer/tokenizer.json"),
    *("evaluation/results.json", "export/export.json", "joined/manifest.json"),
    "run/checkpoints/step_00000012/checkpoint.json",
}
"""Some of the files, one of each kind."""


@pytest.mark.slow
def test_huge_and_wrong_values_are_refused_in_one_line_or_used(tmp_path: Path) -> None:
    cases = 1000 if FULL else 40
    result = run_program("json_values.py", tmp_path, cases, 23, OMP_NUM_THREADS="1")
    assert result["faults"] == []
    assert sum(map(sum, result["counts"].values())) == cases
    assert result["most_megabytes"] <= MOST_MEGABYTES
    assert result["counts"].keys() >= FILES
    assert len(VALUES) > 20
    assert sum(refused for refused, _ in result["counts"].values()) > cases / 3

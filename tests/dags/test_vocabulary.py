"""The vocabulary of all months is made once, by the month that a parameter names; another one is refused."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MADE_FROM = "2017-11"


def task(python: str, folder: Path, month: str, chosen: str) -> subprocess.CompletedProcess[str]:
    """Run the task `vocabulary` of a month; every command that it starts is written to `commands`."""
    recorder = folder / "python"
    recorder.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/commands"\n')
    recorder.chmod(0o755)
    given: dict[str, Any] = {"output": str(folder / "out"), "python": str(recorder), "vocabulary_month": chosen, "flags": []}
    (folder / "calls.json").write_text(json.dumps([["vocabulary", given, month]]))
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [python, str(Path(__file__).with_name("task_runs.py")), str(ROOT / "dags"), str(folder / "calls.json")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("month", "chosen", "is_made", "ends"),
    [
        ("2017-10", "2017-10", True, "AirflowFailException"),
        ("2017-11", "2017-10", True, "AirflowFailException"),
        ("2017-10", MADE_FROM, True, "stays"),
        ("2017-10", "", True, "stays"),
        ("2017-10", MADE_FROM, False, "NoVocabularyError"),
        (MADE_FROM, MADE_FROM, False, "trains"),
        ("2017-10", "", False, "trains"),
    ],
)
def test_the_vocabulary_of_another_month_is_refused(
    python: str, tmp_path: Path, month: str, chosen: str, ends: str, *, is_made: bool
) -> None:
    made = tmp_path / "out" / "vocabulary" / "manifest.json"
    if is_made:
        made.parent.mkdir(parents=True)
        made.write_text(json.dumps({"inputs": {"dedup": {"path": f"../{MADE_FROM}/dedup", "sha256": ""}}}))
    done = task(python, tmp_path, month, chosen)
    assert (done.returncode == 0) == (ends in ("stays", "trains")), done.stderr[-3000:]
    started = (tmp_path / "commands").read_text() if (tmp_path / "commands").exists() else ""
    assert bool(started) == (ends == "trains")
    if ends == "trains":
        assert f"vocabulary --corpus {tmp_path / 'out' / month} --output {made.parent}" in started
    elif ends == "stays":
        assert "the vocabulary of all months stays" in done.stdout + done.stderr
    else:
        last = done.stderr.strip().splitlines()[-1]
        assert ends in last
        why = "shards of two vocabularies cannot be joined; choose another output" if is_made else f"the run of {chosen}"
        assert why in last

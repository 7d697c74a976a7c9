"""The graphs that leave this machine: small, shuffling no text, with plain coders; and accepted by Dataflow's dry run with gs:// paths."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MOST_BYTES = 1 << 20
MOST_ELEMENT_BYTES = 1 << 20
SHUFFLED = {"kv:v1(string_utf8:v1, pickled_python:v1)", "kv:v1(string_utf8:v1, bytes:v1)"}
TRANSFORMS = {f"beam:transform:{name}:v1" for name in ("impulse", "pardo", "group_by_key", "flatten")}
NO_WORK = {f"beam:transform:{name}:v1" for name in ("generic_composite", "pickled_python")}  # the names of composites
LEAST_GRAPHS = {"links": 1, "pages": 1, "documents": 1, "dedup": 2, "vocabulary": 1, "tokens": 1, "overlap": 1}


def graphs(python: str, folder: Path, by: str) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [python, "-W", "ignore", str(ROOT / "tests" / "dry_runs.py"), str(folder), by]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.partition("passages:")[2]) > 20  # of the documents, that no shuffle may show
    assert "text in a shuffle" not in done.stdout
    return [json.loads(line.removeprefix("graph:")) for line in done.stdout.splitlines() if line.startswith("graph:")]


def check(found: list[dict[str, Any]]) -> None:
    assert len(found) >= sum(LEAST_GRAPHS.values())
    for graph in found:
        assert graph["bytes"] < MOST_BYTES
        assert {*graph["transforms"]} <= TRANSFORMS | NO_WORK
        assert graph["transforms"]["beam:transform:group_by_key:v1"] >= 1
        assert {*graph["shuffled"]} <= SHUFFLED
        assert 0 < graph["largest"] < MOST_ELEMENT_BYTES
        assert graph["elements"] < 1000


@pytest.mark.slow
def test_graphs_are_small_and_shuffle_no_text(tmp_path: Path) -> None:
    check(graphs(sys.executable, tmp_path, "local"))


@pytest.mark.slow
def test_dataflow_accepts_every_graph_in_a_dry_run(tmp_path: Path) -> None:
    python = ROOT / ".venv-airflow" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-airflow with the gcp extra (`make test-all` makes it): Dataflow's dry run was not tried")
    found = graphs(str(python), tmp_path, "dataflow")
    check(found)
    assert {image for graph in found for image in graph["images"]} == {"beam:env:docker:v1"}

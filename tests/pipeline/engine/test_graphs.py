"""Graphs for other machines: they are small, shuffle no text, use plain coders, and pass Dataflow's dry run with gs:// paths."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MAX_GRAPH_BYTES = 1 << 20
MAX_ELEMENT_BYTES = 1 << 20
SHUFFLED = {"kv:v1(string_utf8:v1, pickled_python:v1)", "kv:v1(string_utf8:v1, bytes:v1)"}
TRANSFORMS = {f"beam:transform:{name}:v1" for name in ("impulse", "pardo", "group_by_key", "flatten")}
COMPOSITES = {f"beam:transform:{name}:v1" for name in ("generic_composite", "pickled_python")}
MIN_GRAPHS = {"links": 1, "pages": 1, "documents": 1, "dedup": 2, "vocabulary": 1, "tokens": 1, "overlap": 1}


def graphs(python: str, folder: Path, by: str) -> list[dict[str, Any]]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [python, "-W", "ignore", str(ROOT / "tests" / "dry_runs.py"), str(folder), by]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.partition("passages:")[2]) > 20  # documents with a passage that no shuffle may contain
    assert "text in a shuffle" not in done.stdout
    return [json.loads(line.removeprefix("graph:")) for line in done.stdout.splitlines() if line.startswith("graph:")]


def check(graphs: list[dict[str, Any]]) -> None:
    assert len(graphs) >= sum(MIN_GRAPHS.values())
    for graph in graphs:
        assert graph["bytes"] < MAX_GRAPH_BYTES
        assert {*graph["transforms"]} <= TRANSFORMS | COMPOSITES
        assert graph["transforms"]["beam:transform:group_by_key:v1"] >= 1
        assert {*graph["shuffled"]} <= SHUFFLED
        assert 0 < graph["largest"] < MAX_ELEMENT_BYTES
        assert graph["elements"] < 1000


@pytest.mark.slow
def test_graphs_are_small_and_shuffle_no_text(tmp_path: Path) -> None:
    check(graphs(sys.executable, tmp_path, "local"))


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("WEBTEXT_FULL"), reason="WEBTEXT_FULL=1 (the same graphs, without Dataflow's own checks: above)"
)
def test_dataflow_accepts_every_graph_in_a_dry_run(tmp_path: Path) -> None:
    python = ROOT / ".venv-airflow" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-airflow with the gcp extra (`make test-all` makes it): Dataflow's dry run is not tested")
    found = graphs(str(python), tmp_path, "dataflow")
    check(found)
    assert {image for graph in found for image in graph["images"]} == {"beam:env:docker:v1"}

"""The DAGs in an environment with Airflow: `.venv-airflow` at the root, or this one. Skips if neither has it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_runs import PAGES, SUBMISSIONS, Airflow, parameters
from small_web import write_month

ROOT = Path(__file__).parents[2]
LOOK = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
found = bag.dags.get("webtext")
tasks = {t: {"after": sorted(found.get_task(t).downstream_task_ids), "retries": found.get_task(t).retries,
             "pool": found.get_task(t).pool} for t in found.task_ids} if found else {}
print("found:" + json.dumps({"errors": bag.import_errors, "tasks": tasks, "catchup": found and found.catchup}))
"""
EDGES = {
    "links": ["pages"],
    "pages": ["documents"],
    "documents": ["take_down"],
    "take_down": ["dedup"],
    "dedup": ["vocabulary"],
    "vocabulary": ["tokens"],
    "tokens": ["join"],
    "join": ["check_training", "report"],
    "check_training": ["train"],
    "train": ["evaluate"],
    "evaluate": ["report"],
    "report": [],
}


@pytest.mark.slow
def test_the_dag_imports_and_has_its_edges(python: str, tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [python, "-c", LOOK, str(ROOT / "dags")]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.rpartition("found:")[2])
    assert found["errors"] == {}
    assert found["catchup"] is False
    assert {name: task["after"] for name, task in found["tasks"].items()} == EDGES
    assert {name for name, task in found["tasks"].items() if task["pool"] == "webtext_fetch"} == {"pages"}
    assert all(task["retries"] == 3 for task in found["tasks"].values())


@pytest.mark.slow
def test_a_month_runs_to_a_checkpoint_and_a_failed_run_resumes(airflow: Airflow, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    conf = parameters(tmp_path / "{{ 7 * 7 }} two  words") | {"contact": f"{{{{ 1 }}}}; touch {touched}"}
    broken = conf | {"pages_flags": ["--fetch-from", str(tmp_path / "missing.warc.gz")]}
    assert airflow.test_dag("webtext", "2017-12", broken).state == "failed"
    out = tmp_path / "{{ 7 * 7 }} two  words" / "out"
    links = (out / "2017-12" / "links" / "manifest.json").stat().st_mtime_ns
    assert not (out / "2017-12" / "pages" / "manifest.json").exists()
    assert airflow.test_dag("webtext", "2017-12", conf).state == "success"
    assert (out / "2017-12" / "links" / "manifest.json").stat().st_mtime_ns == links
    assert list((out / "runs" / "2017-12").rglob("*.safetensors"))
    report = json.loads((out / "2017-12" / "report" / "report.json").read_bytes())
    assert report["funnel"][0]["items"] == SUBMISSIONS
    assert report["runs"][0]["curves"]
    assert report["evaluations"]
    assert not touched.exists()


@pytest.mark.slow
def test_the_beam_operator_runs_the_same_stages(python: str, airflow: Airflow, tmp_path: Path) -> None:
    has_google = "import importlib.util as u, sys; sys.exit(not u.find_spec('airflow.providers.google'))"
    if subprocess.run([python, "-c", has_google], capture_output=True).returncode:
        pytest.skip("no Google provider beside Airflow: its Beam operator cannot be imported")
    month = write_month(tmp_path / "{{ 7 * 7 }} two  words", PAGES)
    conf = {
        "dump": month.dump,
        "corpus": str(tmp_path / "{{ 8 }} out"),
        "python": sys.executable,
        "pages_options": {"fetch_from": month.warc},
        "vocabulary_options": {"vocab_size": 400},
    }
    assert airflow.test_dag("webtext_beam", "2017-12", conf).state == "success"
    links = json.loads((tmp_path / "{{ 8 }} out" / "links" / "manifest.json").read_bytes())
    assert links["books"]["items_in"] == month.submissions
    tokens = json.loads((tmp_path / "{{ 8 }} out" / "tokens" / "manifest.json").read_bytes())
    assert tokens["dataset"]["splits"]["train"]["tokens"] > 10_000

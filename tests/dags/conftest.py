"""An environment with Airflow: `.venv-airflow` at the root, or this one. Tests that need it skip if neither has it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = "timedelta(minutes=1)"


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter that has Airflow."""
    beside = ROOT / ".venv-airflow" / "bin" / "python"
    if beside.exists():
        return str(beside)
    if find_spec("airflow"):
        return sys.executable
    pytest.skip("no Airflow here (.venv-airflow): the DAGs are not tested")


@pytest.fixture(scope="module")
def home(python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a fresh Airflow: SQLite, no examples, the pool of the crawl."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    for path in (ROOT / "dags").glob("*.py"):
        dag = path.read_text()
        assert PATIENCE in dag
        (folder / "dags" / path.name).write_text(dag.replace(PATIENCE, "timedelta(seconds=0)"))  # no waiting for retries
    settings = {"LOAD_EXAMPLES": "False", "DAGS_FOLDER": str(folder / "dags")}
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), **{f"AIRFLOW__CORE__{k}": v for k, v in settings.items()}}
    for command in (["db", "migrate"], ["pools", "set", "webtext_fetch", "1", "one crawl at a time"]):
        subprocess.run([python, "-m", "airflow", *command], env=environment, check=True, capture_output=True)
    return environment

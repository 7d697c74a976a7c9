"""An environment with Airflow: `.venv-airflow` at the root, or this one. Tests that need it skip if neither has it."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from airflow_runs import Airflow

ROOT = Path(__file__).parents[2]
PATIENCE = "timedelta(minutes=1)"
POOL = ("pools", "set", "webtext_fetch", "1", "one crawl at a time")


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that has Airflow."""
    beside = ROOT / ".venv-airflow" / "bin" / "python"
    if beside.exists():
        return str(beside)
    if find_spec("airflow"):
        return sys.executable
    pytest.skip("no Airflow here (.venv-airflow): the DAGs are not tested")


@pytest.fixture(scope="session")
def airflow(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """A fresh Airflow: SQLite, no examples, the pool of the crawl."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    for path in (ROOT / "dags").glob("*.py"):
        dag = path.read_text()
        assert PATIENCE in dag
        (folder / "dags" / path.name).write_text(dag.replace(PATIENCE, "timedelta(seconds=0)"))  # no waiting for retries
    settings = {"LOAD_EXAMPLES": "False", "DAGS_FOLDER": str(folder / "dags")}
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), **{f"AIRFLOW__CORE__{k}": v for k, v in settings.items()}}
    with Airflow(python, environment) as started:
        started.call("db", "migrate")
        started.call(*POOL)
        yield started

"""Airflow as users run it: `airflow standalone`, the DAG started over REST and then cleared, its grid in a browser.

Skips without .venv-airflow and without WEBTEXT_FULL=1: its processes and tasks import Airflow two dozen times, and test_webtext.py runs
the same month in one process. WEBTEXT_SCREENSHOTS=FOLDER keeps the picture.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
from airflow_runs import parameters

ROOT = Path(__file__).parents[2]
MONTHLY = "schedule=MONTHLY"
TASKS = 12
DAG_RUNS = "/api/v2/dags/webtext/dagRuns"


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in sockets]


def settings(home: Path, port: int, logs: list[int]) -> dict[str, str]:
    """Environment of an Airflow on the loopback, on free ports, where every client is the admin."""
    chosen = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": "1",
        "LOGGING__WORKER_LOG_SERVER_PORT": str(logs[0]),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(logs[1]),
        "CORE__PARALLELISM": "2",
    }
    return {**os.environ, "AIRFLOW_HOME": str(home), **{f"AIRFLOW__{name}": value for name, value in chosen.items()}}


@contextmanager
def standalone(python: Path, environment: dict[str, str], base: str) -> Iterator[None]:
    """Run all of Airflow's processes. The block starts when the API server is up; they end together."""
    path = f"{python.parent}:{environment['PATH']}"
    with subprocess.Popen(
        [str(python), "-m", "airflow", "standalone"],
        env={**environment, "PATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        log: list[str] = []
        try:
            for line in process.stdout:
                log.append(line)
                if f"running on {base}" in line:
                    break
            else:
                pytest.fail("".join(log[-40:]))
            reader = Thread(target=log.extend, args=(process.stdout,))  # otherwise the pipe fills up
            reader.start()
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    reader.join()


def ask(base: str, path: str, method: str = "GET", body: Any = None, token: str = "") -> bytes:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    with urlopen(Request(f"{base}{path}", data, headers, method=method), timeout=900) as answer:
        return answer.read()


@pytest.fixture
def python() -> Path:
    found = ROOT / ".venv-airflow" / "bin" / "python"
    if not found.exists():
        pytest.skip("no .venv-airflow (`make test-all` makes it): Airflow is not tested")
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("WEBTEXT_FULL"), reason="minutes; WEBTEXT_FULL=1 (a month in one process: test_webtext.py)"
)
def test_a_run_started_over_rest_succeeds_and_again_when_it_is_cleared(python: Path, tmp_path: Path) -> None:
    """A cleared month runs all its tasks again, and changes nothing."""
    dag = (ROOT / "dags" / "webtext.py").read_text()
    assert MONTHLY in dag
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "webtext.py").write_text(dag.replace(MONTHLY, "schedule=None"))  # no catch-up from 2005 on
    port, *logs = free_ports(3)
    environment = settings(tmp_path, port, logs)
    for command in (["db", "migrate"], ["pools", "set", "webtext_fetch", "1", "one crawl at a time"], ["dags", "reserialize"]):
        subprocess.run([str(python), "-m", "airflow", *command], env=environment, check=True, capture_output=True)
    conf = parameters(tmp_path)
    base = f"http://127.0.0.1:{port}"
    with standalone(python, environment, base):
        token = json.loads(ask(base, "/auth/token"))["access_token"]
        ask(base, "/api/v2/dags/webtext", "PATCH", {"is_paused": False}, token)
        run = json.loads(ask(base, DAG_RUNS, "POST", {"logical_date": "2017-12-01T00:00:00Z", "conf": conf}, token))
        name = run["dag_run_id"]
        last = ask(base, f"{DAG_RUNS}/{name}/wait?interval=1", token=token).splitlines()[-1]
        assert json.loads(last)["state"] == "success"
        assert tries(base, name, token) == {"success 1": TASKS}
        photograph(f"{base}/dags/webtext/runs/{name}", tmp_path)
        made = {path: path.read_bytes() for path in sorted((tmp_path / "out").rglob("manifest.json"))}
        assert made
        clear = [str(python), "-m", "airflow", "tasks", "clear", "--yes", "webtext"]
        subprocess.run(clear, env=environment, check=True, capture_output=True)
        last = ask(base, f"{DAG_RUNS}/{name}/wait?interval=1", token=token).splitlines()[-1]
        assert json.loads(last)["state"] == "success"
        assert tries(base, name, token) == {"success 2": TASKS}
    assert {path: path.read_bytes() for path in sorted((tmp_path / "out").rglob("manifest.json"))} == made
    assert list((tmp_path / "out" / "runs" / "2017-12").rglob("*.safetensors"))


def tries(base: str, run: str, token: str) -> dict[str, int]:
    """Number of the run's tasks by state and number of tries."""
    tasks = json.loads(ask(base, f"{DAG_RUNS}/{run}/taskInstances", token=token))["task_instances"]
    return Counter(f"{task['state']} {task['try_number']}" for task in tasks)


def photograph(address: str, folder: Path) -> None:
    """Take a picture of the finished grid, if there is a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    picture = Path(os.environ.get("WEBTEXT_SCREENSHOTS", folder)) / "airflow-grid.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'browser'}"]
    size = ["--window-size=1400,900", "--virtual-time-budget=20000", f"--screenshot={picture}"]
    subprocess.run([chromium, *flags, *size, address], check=True, capture_output=True, timeout=120)
    assert picture.stat().st_size > 20_000

"""Google Cloud Storage's protocol, on a server on the loopback: what holds for S3 holds for gs://."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SERVER = ROOT / ".engines" / "bin" / "fake-gcs-server"
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVER.exists(), reason=f"{SERVER} is not here: make engines installs it, where Go is installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-airflow with the gcp extra: make airflow makes it"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [SERVER, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen([*command, "-external-url", address, "-log-level", "error"]) as process:
        try:
            for _ in range(300):
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield address
        finally:
            process.kill()


@pytest.fixture(scope="module")
def gave(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each run of tests/gcs_runs.py gave."""
    environment = os.environ | {"STORAGE_EMULATOR_HOST": server, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [str(PYTHON), str(ROOT / "tests" / "gcs_runs.py"), str(tmp_path_factory.mktemp("gcs"))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"run"')]
    return {line["run"]: line["gave"] for line in lines}


def test_objects_are_written_and_read_whole(gave: dict[str, Any]) -> None:
    sizes = [0, 1, 1000, 9 << 20]
    assert gave["whole_objects"] == {
        "read": [True] * 4,
        "read in bounds": [True] * 4,
        "read beyond bounds": ["ValueError"] * 3,
        "sizes": sizes,
        "listed": sizes,
        "missing": ["FileNotFoundError"] * 3,
        "no bucket": "FileNotFoundError",
    }


def test_a_writer_that_fails_publishes_nothing(gave: dict[str, Any]) -> None:
    assert gave["failed_writer"] == {"errors": ["OSError", "OSError"], "old": "whole", "new": False}


def test_names_are_no_patterns(gave: dict[str, Any]) -> None:
    assert gave["exact_names"] == {"listed": ["a"], "left": ["c1/a", "c11/a", "c?/a"]}


def test_of_several_writers_of_a_new_object_one_is_told_so(gave: dict[str, Any]) -> None:
    assert gave["new_objects"] == {"one winner": [True] * 10}


def test_a_reader_asks_for_what_is_read(gave: dict[str, Any]) -> None:
    assert gave["ranges"] == {"right": True, "asked": ["bytes=-65536", "bytes=5000-41999"]}


def test_a_part_that_runs_twice_at_once_has_one_receipt_with_whole_files(gave: dict[str, Any]) -> None:
    assert gave["attempts"] == {"one receipt, whole files": [[True, True], [True, True]]}


def test_every_stage_writes_the_same_bytes_as_on_a_disk(gave: dict[str, Any]) -> None:
    assert gave["every_stage"]["bucket"] == gave["every_stage"]["disk"]
    assert len(gave["every_stage"]["disk"]) > 20

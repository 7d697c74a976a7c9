"""Persistent workers: the same processes serve every pipeline, and end with the block or with the driver."""

import importlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import apache_beam as beam
import pytest

from pipeline.engine import run_token, worker_call
from pipeline.engine.runner import Engine
from pipeline.engine.worker_pool import persistent_workers

CODE = """
import sys, time
import apache_beam as beam
from pipeline.engine.runner import Engine
from pipeline.engine.worker_pool import persistent_workers
with persistent_workers(Engine(workers=2), 2) as engine:
    engine.run(lambda pipeline: pipeline | beam.Create(range(8)), 2)
    print("started", flush=True)
    time.sleep(60)
"""


def note_process(number: int, folder: str) -> None:
    Path(folder, f"{os.getpid()}").touch()
    time.sleep(0.2)


def note_loader(number: int, folder: str) -> None:
    Path(folder, str(importlib.import_module("loaded_once").FROM)).touch()


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def has_ended(process: int) -> bool:
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.1)
    return False


def processes_of_two_pipelines(root: Path) -> tuple[set[str], set[str]]:
    """The numbers of the worker processes that two pipelines ran in, one after the other."""
    turns = ("first", "second")
    with persistent_workers(Engine(workers=2), 9) as engine:
        for turn in turns:
            folder = root / turn
            folder.mkdir()
            numbers = beam.Create(range(8)) | beam.Reshuffle()
            engine.run(lambda pipeline, n=numbers, f=folder: pipeline | n | beam.Map(note_process, str(f)), 8)  # type: ignore[misc]
    first, second = ({path.name for path in (root / turn).iterdir()} for turn in turns)
    return first, second


@pytest.mark.slow
def test_a_default_time_out_of_sockets_does_not_reach_the_workers(tmp_path: Path) -> None:
    """Beam sets one of 60 s when it asks for Google's credentials."""
    socket.setdefaulttimeout(0.05)
    try:
        first, second = processes_of_two_pipelines(tmp_path)
    finally:
        socket.setdefaulttimeout(None)
    assert first
    assert second <= first


@pytest.mark.slow
def test_the_same_processes_serve_every_pipeline_and_end_with_the_block(tmp_path: Path) -> None:
    first, second = processes_of_two_pipelines(tmp_path)
    assert first
    assert second
    assert len(first | second) <= 2
    assert str(os.getpid()) not in first | second
    assert all(has_ended(int(process)) for process in first | second)


def test_a_persistent_worker_is_given_the_token_of_the_run() -> None:
    assert run_token.VARIABLE in worker_call.VARIABLES


def test_one_worker_one_part_or_another_runner_needs_no_pool() -> None:
    for engine, parts in ((Engine(), 9), (Engine(workers=2), 1), (Engine(workers=2, beam_flags=("--runner=PrismRunner",)), 9)):
        with persistent_workers(engine, parts) as same:
            assert same is engine


def test_no_process_starts_before_the_first_pipeline() -> None:
    before = children(os.getpid())
    with persistent_workers(Engine(workers=2), 2, "no_such_module") as engine:
        assert engine.worker != Engine().worker
        assert children(os.getpid()) == before
    assert not [thread.name for thread in threading.enumerate() if thread.name == "worker pool"]


@pytest.mark.slow
def test_an_inner_block_uses_the_workers_of_the_outer_one() -> None:
    with persistent_workers(Engine(workers=2), 2) as engine, persistent_workers(engine, 2) as same:
        assert same is engine


@pytest.mark.slow
def test_modules_are_loaded_once_for_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(tmp_path, "loaded_once.py").write_text("import os\nFROM = 0\ndef load():\n    global FROM\n    FROM = os.getpid()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with persistent_workers(Engine(workers=2), 2, "loaded_once") as engine:
        engine.run(lambda pipeline: pipeline | beam.Create(range(8)) | beam.Reshuffle() | beam.Map(note_loader, str(tmp_path)), 8)
    loaders = {path.name for path in tmp_path.iterdir() if path.name.isdecimal()}
    assert len(loaders) == 1
    assert loaders != {str(os.getpid())}


@pytest.mark.slow
def test_workers_end_when_the_driver_is_killed() -> None:
    driver = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE)
    assert driver.stdout
    with driver:
        assert driver.stdout.readline() == b"started\n"
        (parent,) = children(driver.pid)
        while len(workers := children(int(parent))) < 2:
            time.sleep(0.05)
        driver.kill()
    assert all(has_ended(int(process)) for process in (parent, *workers))

"""A killed worker process ends the command with one line: Beam's local runner alone would wait for ever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, signal, sys, time
import apache_beam as beam
from contextlib import nullcontext
from pipeline.engine.runner import Engine
from pipeline.engine.worker_pool import persistent_workers

def work(number):
    if number == 0:
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(600)

engine = Engine(workers=2)
with persistent_workers(engine, 4) if sys.argv[1] == "persistent" else nullcontext(engine) as engine:
    engine.run(lambda pipeline: pipeline | beam.Create(range(4), reshuffle=False) | beam.Map(work), 4)
print("not reached")
"""
MESSAGE = "a worker process was killed"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["persistent", "per pipeline"])
def test_a_killed_worker_ends_the_command_with_one_line(tmp_path: Path, kind: str) -> None:
    script = tmp_path / "work.py"
    script.write_text(CODE)
    command = [sys.executable, str(script), kind]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as driver:
        assert driver.stdout
        worker = int(driver.stdout.readline())
        assert worker != driver.pid
        os.kill(worker, signal.SIGKILL)
        output, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "not reached" not in output
    assert MESSAGE in errors
    assert "Traceback" not in errors, errors

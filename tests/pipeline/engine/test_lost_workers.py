"""A worker process that is killed ends the command in a line: Beam's local runner would wait for it for ever."""

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
from pipeline.engine import Engine
from pipeline.standing import persistent_workers

def work(number):
    if number == 0:
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(600)

engine = Engine(workers=2)
with persistent_workers(engine, 4) if sys.argv[1] == "standing" else nullcontext(engine) as engine:
    engine.run(lambda pipeline: pipeline | beam.Create(range(4), reshuffle=False) | beam.Map(work), 4)
print("not reached")
"""
SAID = "a worker process was killed"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["standing", "its own"])
def test_a_killed_worker_ends_the_command(tmp_path: Path, kind: str) -> None:
    script = tmp_path / "work.py"
    script.write_text(CODE)
    command = [sys.executable, str(script), kind]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as driver:
        assert driver.stdout
        worker = int(driver.stdout.readline())
        assert worker != driver.pid
        os.kill(worker, signal.SIGKILL)
        said, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "not reached" not in said
    assert SAID in errors
    assert "Traceback" not in errors, errors

"""The stages on another engine: Beam's portable job service, with a pool of two workers, writes the local engine's bytes.

Some of the stages; all of them with WEBTEXT_FULL=1.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from small_web import Month, every_stage, stage_calls, write_month

from pipeline.engine.parts import PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.transform import RunPart

WORKERS = 2
STAGES = 7 if os.environ.get("WEBTEXT_FULL") else 3
"""So many stages run on the job service: the last ones, which have the larger graphs."""
JOB_SERVICE = Path(__file__).parents[2] / "servers" / "job_service.py"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(log: Path, *program: str) -> Iterator[None]:
    """One of Beam's servers. It starts its workers by the name `python`, so the path must lead to this interpreter."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, *program]
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env={**os.environ, "PATH": path}) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def until_open(port: int) -> None:
    """Wait until a server listens on the port, by trying to connect."""
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        subprocess.run([sys.executable, "-c", ""], check=True)
    raise TimeoutError(f"no server listens on port {port}")


@dataclass(frozen=True)
class Service:
    """An engine that sends its graphs to a job service, and the log of that service's worker pool."""

    engine: Engine
    pool_log: Path


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    jobs, pool = free_port(), free_port()
    with (
        running(folder / "jobs.log", str(JOB_SERVICE), str(WORKERS), f"--port={jobs}"),
        running(folder / "pool.log", "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"),
    ):
        until_open(jobs)
        until_open(pool)
        flags = ("--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{jobs}", "--environment_type=EXTERNAL")
        engine = Engine(beam_flags=(*flags, f"--environment_config=127.0.0.1:{pool}"))
        yield Service(engine, folder / "pool.log")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.pages.stage.LINKS_PER_PART", 10)  # so that there are several parts
        yield write_month(tmp_path_factory.mktemp("month"))


def published(corpus: Path) -> dict[str, bytes]:
    """The bytes of every file but run.json, which holds times."""
    paths = [path for path in sorted(corpus.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(corpus)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def local(month: Month, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    corpus = tmp_path_factory.mktemp("local") / "corpus"
    every_stage(str(corpus), month, Engine())
    return published(corpus)


@pytest.mark.slow
def test_the_job_service_writes_the_same_bytes(month: Month, portable: Service, local: dict[str, bytes], tmp_path: Path) -> None:
    calls = list(stage_calls(str(tmp_path / "corpus"), month, portable.engine))
    for stage, _ in calls[:-STAGES]:
        for name in (name for name in local if name.startswith(f"{stage.name}/")):
            (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "corpus" / name).write_bytes(local[name])
    for stage, call in calls[-STAGES:]:
        stage.run(call)
    found = published(tmp_path / "corpus")
    assert len(found) > 20
    assert found == local
    started = re.findall(r'SdkHarness\("[^"]+",worker_id="(worker_\d+)"', portable.pool_log.read_text())
    assert len(set(started)) == len(started) >= STAGES * WORKERS  # at least one graph per stage, each on its own processes
    assert len(started) % WORKERS == 0


@pytest.mark.slow
def test_repeated_and_reordered_bundles_change_no_byte(
    month: Month, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is a bundle, delivered one to three times in reversed order; its first delivery may be cut before the receipt."""
    deliveries: list[int] = []
    delivering: list[bool] = []  # not empty within a bundle: no engine repeats what the driver itself does
    cut: set[str] = set()
    save = Receipt.save

    def save_at_the_second_try(receipt: Receipt, phase: PhaseFolder) -> None:
        path = phase.receipt_path(receipt.key)
        if delivering and crc32(path.encode()) % 3 and path not in cut:
            cut.add(path)
            raise InterruptedError(path)
        save(receipt, phase)

    def delivered_again(process):
        def deliver(self, element, *more):
            again = 1 + len(deliveries) % 3
            deliveries.append(again)
            delivering.append(True)
            outputs: list[object] = []
            finished = 0
            while finished < again:
                try:
                    self.start_bundle()
                    outputs = list(process(self, element, *more))
                    outputs += [output.value for output in self.finish_bundle() or ()]
                except InterruptedError:
                    continue  # the cut delivery left its files, without a receipt
                finished += 1
            delivering.pop()
            yield from outputs

        return deliver

    monkeypatch.setattr(Receipt, "save", save_at_the_second_try)
    monkeypatch.setattr(RunPart, "process", delivered_again(RunPart.process))
    run = Engine._run_in_pipeline
    for way in ("_run_in_pipeline", "_run_on_threads"):  # a month this small has phases of one part
        monkeypatch.setattr(Engine, way, lambda self, phase, waiting, work: run(self, phase, waiting[::-1], work))
    every_stage(str(tmp_path / "corpus"), month, Engine())
    assert published(tmp_path / "corpus") == local
    assert len(cut) > 4
    assert {1, 2, 3} == set(deliveries)

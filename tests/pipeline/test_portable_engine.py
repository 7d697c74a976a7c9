"""The stages on another engine: Beam's portable job service, with a pool of worker processes, gives the local engine's bytes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import pytest

from pipeline.engine import Engine
from pipeline.jobs import dedup, links, tokens, vocabulary
from pipeline.stage import Call, Stage

MOST_GRAPH_BYTES = 1 << 20


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(log: Path, module: str, *flags: str) -> Iterator[None]:
    """A server of Beam's own; its workers are started by the name `python`, so that must be this one."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", module, *flags]
    with log.open("wb") as sink, subprocess.Popen(command, stdout=sink, stderr=sink, env={**os.environ, "PATH": path}) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def until_open(port: int) -> None:
    """Wait until somebody listens: the connection itself is retried, nothing sleeps in between for long."""
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        subprocess.run([sys.executable, "-c", ""], check=True)
    raise TimeoutError(f"nobody listens at {port}")


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("service")
    jobs, pool = free_port(), free_port()
    with (
        running(folder / "jobs.log", "apache_beam.runners.portability.local_job_service_main", f"--port={jobs}"),
        running(folder / "pool.log", "apache_beam.runners.worker.worker_pool_main", f"--service_port={pool}"),
    ):
        until_open(jobs)
        until_open(pool)
        flags = ("--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{jobs}", "--environment_type=EXTERNAL")
        yield Engine(beam_flags=(*flags, f"--environment_config=127.0.0.1:{pool}", "--sdk_worker_parallelism=2"))


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dump") / "RS_2017-12.jsonl"
    lines = [
        {"id": f"a{i}", "url": f"https://site{i % 7}.example/{i % 90}", "score": i % 9, "subreddit": "science", "is_self": False,
         "created_utc": 1_400_000_000 + i, "over_18": False, "domain": f"site{i % 7}.example", "title": "t"}
        for i in range(300)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run_all(corpus: Path, chosen: Any, dump: Path, engine: Engine) -> dict[str, bytes]:
    """Links from a dump; the chosen documents through dedup, vocabulary and tokens. Every published byte but run.json's."""
    documents = str(chosen.folder / "documents")
    calls: list[tuple[Stage, dict[str, str], dict[str, Any]]] = [
        (links.STAGE, {}, {"submissions": (str(dump),)}),
        (dedup.STAGE, {"documents": documents}, {}),
        (vocabulary.STAGE, {"dedup": str(corpus / "dedup")}, {"vocab_size": 300}),
        (tokens.STAGE, {"dedup": str(corpus / "dedup"), "vocabulary": str(corpus / "vocabulary")}, {}),
    ]
    for stage, inputs, settings in calls:
        stage.run(Call(inputs, str(corpus / stage.name), stage.settings(**settings), engine))
    paths = [path for path in sorted(corpus.rglob("*")) if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(corpus)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def local(chosen: Any, dump: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run_all(tmp_path_factory.mktemp("local") / "corpus", chosen, dump, Engine())


@pytest.mark.slow
def test_the_job_service_writes_the_same_bytes(
    chosen: Any, dump: Path, portable: Engine, local: dict[str, bytes], tmp_path: Path
) -> None:
    found = run_all(tmp_path / "corpus", chosen, dump, portable)
    assert len(found) > 12
    assert found == local


class Recorded(Engine):
    """Runs as ever, and keeps every graph as an engine elsewhere would be sent it."""

    graphs: ClassVar[list[Any]] = []

    def run(self, build: Any, *more: Any) -> None:
        pipeline = beam.Pipeline(runner="FnApiRunner")
        build(pipeline)
        self.graphs.append(pipeline.to_runner_api())
        super().run(build, *more)


@pytest.mark.slow
def test_every_graph_is_small_and_shuffles_no_text(
    chosen: Any, dump: Path, local: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorded, "graphs", [])
    assert run_all(tmp_path / "corpus", chosen, dump, Recorded()) == local
    assert len(Recorded.graphs) >= 7
    for graph in Recorded.graphs:
        assert graph.ByteSize() < MOST_GRAPH_BYTES
        kinds = [transform.spec.urn for transform in graph.components.transforms.values()]
        assert "beam:transform:group_by_key:v1" in kinds
        assert not any("stateful" in kind for kind in kinds)
        words = [document.text[:40].encode() for document in chosen.documents]
        assert not any(word in graph.SerializeToString() for word in words)

"""The whole pipeline as a user runs it, in its own processes: from a dump of submissions to token shards."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.compute as pc
import pytest
from servers.library import pages, write_dump
from servers.replay import ReplayServer

from pipeline.cli.registry import RUN
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest

pytestmark = pytest.mark.slow
KILLS = 10 if os.environ.get("WEBTEXT_FULL") else 3
METADATA = ("run.json", "report")
"""Output that holds times and is no input of anything."""


@pytest.fixture(scope="module")
def web() -> Iterator[ReplayServer]:
    with ReplayServer(pages(30)) as server:
        yield server


class Job:
    """A run of `webtext run` on the small web into a folder."""

    def __init__(self, folder: Path, web: ReplayServer, workers: int) -> None:
        folder.mkdir()
        self.corpus = folder / "corpus"
        dump = folder / "RS_2017-07.jsonl"
        write_dump(dump, web.pages)
        self.command = [
            *(sys.executable, "-m", "pipeline", "run", "--submissions", str(dump), "--output", str(self.corpus)),
            *("--proxy", web.proxy_url, "--ca-bundle", web.ca_bundle, "--host-delay", "0", "--retries", "0"),
            *("--fetched-at", "2026-01-31T12:00:00Z", "--contact", "test@example.com"),
            *("--vocab-size", "700", "--validation-share", "0.1", "--workers", str(workers)),
        ]

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command, capture_output=True, text=True, check=False)

    def contents(self) -> dict[str, bytes]:
        paths = {path.relative_to(self.corpus): path for path in self.corpus.rglob("*") if path.is_file()}
        return {str(name): path.read_bytes() for name, path in paths.items() if not set(name.parts) & set(METADATA)}


@pytest.fixture(scope="module")
def undisturbed(web: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, float]:
    """A finished run with one worker, and how many seconds it took."""
    job = Job(tmp_path_factory.mktemp("end") / "one", web, workers=1)
    started = time.monotonic()
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    return job, time.monotonic() - started


def differing(left: dict[str, bytes], right: dict[str, bytes]) -> list[str]:
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def test_two_workers_write_the_same_bytes(undisturbed: tuple[Job, float], web: ReplayServer, tmp_path: Path) -> None:
    two = Job(tmp_path / "two", web, workers=2)
    ended = two.run()
    assert ended.returncode == 0, ended.stderr
    assert differing(undisturbed[0].contents(), two.contents()) == []


def times_of_files(corpus: Path) -> dict[Path, int]:
    """When each file was written. Folders are left out: a run's lock comes and goes in them."""
    return {path: path.stat().st_mtime_ns for path in corpus.rglob("*") if path.is_file()}


def test_a_second_run_runs_no_stage(undisturbed: tuple[Job, float], web: ReplayServer) -> None:
    job, _ = undisturbed
    asked = sum(web.hits.values())
    before = times_of_files(job.corpus)
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    lines = [line.partition("Z ")[2] for line in ended.stderr.splitlines() if line]  # before it: the time
    lines = [line.partition(";")[0] for line in lines]  # behind it: drops that may pass
    assert lines == [f"{name}: up to date" for name in RUN]
    assert sum(web.hits.values()) == asked
    assert times_of_files(job.corpus) == before


def test_a_run_killed_at_random_moments_resumes_to_the_same_bytes(
    undisturbed: tuple[Job, float], web: ReplayServer, tmp_path: Path
) -> None:
    plain, seconds = undisturbed
    moments = random.Random(20190214)
    kills = runs = 0
    while kills < KILLS:
        job = Job(tmp_path / f"run{runs}", web, workers=2)
        while kills < KILLS and killed_after(job, moments.uniform(0.2, 0.9) * seconds):
            kills += 1
        runs += 1
        ended = job.run()
        assert ended.returncode == 0, ended.stderr
        assert differing(plain.contents(), job.contents()) == []


def killed_after(job: Job, seconds: float) -> bool:
    """Start the run in its own process group and kill -9 the group after `seconds`. Returns whether it was still running."""
    with subprocess.Popen(job.command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return False


@pytest.mark.parametrize("stage", [name for name in RUN if name != "report"])
def test_in_equals_out_plus_drops(undisturbed: tuple[Job, float], stage: str) -> None:
    folder = str(undisturbed[0].corpus / stage)
    manifest = StageManifest.load(folder)
    reasons: dict[str, int] = {}
    for entry in manifest.of_kind("drops"):
        table = files.read_table(files.join(folder, entry.name))
        assert set(table.column("stage").to_pylist()) <= {stage}
        for counted in pc.value_counts(table.column("reason")).to_pylist():
            reasons[counted["values"]] = reasons.get(counted["values"], 0) + counted["counts"]
    books = manifest.books
    assert books.items_in == books.items_out + sum(reasons.values())
    assert reasons == books.dropped
    assert books.items_out > 0


def test_every_link_becomes_a_page_or_a_named_drop(undisturbed: tuple[Job, float]) -> None:
    corpus = undisturbed[0].corpus
    links = column(corpus / "links", "links", "url")
    fetched = column(corpus / "pages", "pages", "url")
    dropped = column(corpus / "pages", "drops", "item")
    assert sorted(links) == sorted(fetched + dropped)
    assert len(set(links)) == len(links)


def column(folder: Path, kind: str, name: str) -> list[str]:
    entries = StageManifest.load(str(folder)).of_kind(kind)
    return [value for e in entries for value in files.read_table(str(folder / e.name), [name]).column(name).to_pylist()]


def test_ctrl_c_stops_the_run_and_says_how_to_go_on(web: ReplayServer, tmp_path: Path) -> None:
    job = Job(tmp_path / "stopped", web, workers=2)
    with subprocess.Popen(job.command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            os.kill(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ links: kept ", first)  # where a log is read: with the time
    assert process.returncode == 130
    assert "Run the same command to go on" in errors
    assert "Traceback" not in errors
    finished = [name for name in RUN if (job.corpus / name / "manifest.json").exists()]
    assert finished == list(RUN[: len(finished)])
    assert len(finished) < len(RUN)  # it stopped before its end

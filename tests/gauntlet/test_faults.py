"""External faults over all stages and training: short forms here, the long ones by `make gauntlet`."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from small_web import every_stage, write_month

from pipeline.engine.runner import Engine

pytestmark = pytest.mark.slow
FULL = bool(os.environ.get("WEBTEXT_FULL"))
HERE = Path(__file__).parent
BUSY = 8.0
"""Load per core at which other work may make a good server's page time out: at 10, 64 of 12,000 did."""
REAL_SLEEP = """
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
"""
"""Replaces libfaketime's sleep, which up to 0.9.10 shifts the end of every sleep by the jump, even on the monotonic clock."""


def run_program(program: str, *words: object, **variables: str) -> dict[str, Any]:
    """Run a program of this folder; returns the JSON on its last line of output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE.parent))), **variables}
    command = [sys.executable, str(HERE / program), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_every_damaged_file_is_noticed_before_its_first_use(tmp_path: Path) -> None:
    flips, cuts = (500, 100) if FULL else (7, 7)
    counts = run_program("corrupted.py", tmp_path, flips, cuts)
    assert {"WARC", "Parquet", "IPC shard", "manifest", "tokenizer", "checkpoint"} <= counts.keys()
    assert sum(found for found, _, _ in counts.values()) == flips + cuts, counts


@pytest.mark.skipif(not FULL, reason="minutes; WEBTEXT_FULL=1 (fewer kills: tests/end_to_end, tests/trainer/test_loop.py)")
def test_jobs_killed_at_random_moments_finish_as_if_undisturbed(tmp_path: Path) -> None:
    result = run_program("faulted.py", tmp_path, "kill", 100)
    assert result["wrong"] == []


def test_a_full_disk_has_its_own_exit_code_and_publishes_nothing_partial(tmp_path: Path) -> None:
    mounted = os.geteuid() == 0 and can_mount(tmp_path / "probe")
    result = run_program("faulted.py", tmp_path / "job", "disk" if mounted else "file", 20 if FULL else 1)
    assert result["wrong"] == []
    assert set(result["codes"]) == {"74"}


def test_failing_io_gives_equal_output_or_a_failure_that_says_so(tmp_path: Path) -> None:
    if not FULL or shutil.which("fiu-run") is None:
        pytest.skip("200 runs of failing reads and writes: WEBTEXT_FULL=1 and libfiu (Debian's fiu-utils)")
    assert run_program("faulted.py", tmp_path, "io", 200)["wrong"] == []


def test_a_clock_that_jumps_changes_no_byte(tmp_path: Path) -> None:
    """Ten times per second by up to years, both ways. Monotonic time does not jump, as when a clock is set."""
    library, compiler = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None), shutil.which("cc")
    if not FULL or library is None or compiler is None:
        pytest.skip("two whole runs: WEBTEXT_FULL=1, libfaketime (Debian's faketime) and a C compiler")
    sleep, clock = tmp_path / "sleep.so", tmp_path / "clock"
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(sleep)], input=REAL_SLEEP, text=True, check=True)
    faked = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    plain = run_program("faulted.py", tmp_path / "plain", "none", 0)
    with jumping_clock(clock) as jumps:
        jumped = run_program("faulted.py", tmp_path / "jumping", "none", 0, LD_PRELOAD=f"{sleep}:{library}", **faked)
    assert jumped == plain
    assert jumps[0] > 20
    finished = {json.loads(path.read_bytes())["finished_at"][:4] for path in (tmp_path / "jumping").rglob("run.json")}
    assert len(finished) > 1, "the stages saw one year only: the clock did not jump"
    print(f"{jumps[0]} jumps; the stages ended in {sorted(finished)}")


@contextmanager
def jumping_clock(file: Path) -> Iterator[list[int]]:
    """Rewrite libfaketime's file ten times per second; gives the number of jumps so far."""
    stop, jumps = threading.Event(), [0]

    def jump() -> None:
        for offset in itertools.cycle(("+1500d", "-1500d", "+1h", "-700d", "+400d")):
            aside = file.with_suffix(".aside")
            aside.write_text(f"{offset}\n")
            aside.replace(file)
            jumps[0] += 1
            if stop.wait(0.1):
                return

    thread = threading.Thread(target=jump)
    thread.start()
    try:
        yield jumps
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not FULL, reason="ten minutes; WEBTEXT_FULL=1")
def test_ten_minutes_of_hostile_servers_leak_no_memory_or_descriptors() -> None:
    result = run_program("soak.py", 600)
    assert result["slope_mb_per_minute"] < 1
    assert result["timed_out_good_urls"] == 0 or result["most_load_per_core"] > BUSY
    assert result["descriptors"][0] == result["descriptors"][1]


@pytest.mark.skipif(not FULL, reason="ten minutes; WEBTEXT_FULL=1 (the rule behind it: tests/pipeline/storage/test_threads.py)")
def test_no_command_aborts_at_its_end_on_a_busy_machine(tmp_path: Path) -> None:
    """Five hundred ends, 200 of them of processes of their own."""
    corpus = str(tmp_path / "corpus")
    every_stage(corpus, write_month(tmp_path / "month", 24), Engine(workers=1))
    result = run_program("exits.py", corpus, 200, 300)
    assert result["wrong"] == []
    assert sum(result["codes"].values()) == 500


def can_mount(probe: Path) -> bool:
    """Whether this process may mount a tmpfs: the root of a container may not."""
    probe.mkdir()
    if shutil.which("mount") is None:
        return False
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(probe)], capture_output=True, check=False)
    return mount.returncode == 0 and subprocess.run(["umount", str(probe)], check=False).returncode == 0

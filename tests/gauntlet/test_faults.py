"""Faults from outside over all stages and training: a short form here, the whole of it by `make gauntlet`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
FULL = bool(os.environ.get("WEBTEXT_FULL"))
HERE = Path(__file__).parent
FIU = Path("/usr/lib/fiu/fiu_posix_preload.so")


def judged(program: str, *words: object, **variables: str) -> dict[str, Any]:
    """What a program of this folder says at its end, on a line of JSON."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE.parent))), **variables}
    command = [sys.executable, str(HERE / program), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_damaged_file_is_found_before_its_first_use(tmp_path: Path) -> None:
    flips, cuts = (500, 100) if FULL else (7, 7)
    counts = judged("corrupted.py", tmp_path, flips, cuts)
    assert {"WARC", "Parquet", "IPC shard", "manifest", "tokenizer", "checkpoint"} <= counts.keys()
    assert sum(found for found, _, _ in counts.values()) == flips + cuts, counts


@pytest.mark.skipif(not FULL, reason="minutes; WEBTEXT_FULL=1 (fewer kills: tests/end_to_end, tests/trainer/test_loop.py)")
def test_killed_at_random_moments_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    result = judged("faulted.py", tmp_path, "kill", 100)
    assert result["wrong"] == []


def test_a_full_disk_has_its_own_exit_code_and_publishes_nothing_partial(tmp_path: Path) -> None:
    mounted = os.geteuid() == 0 and can_mount(tmp_path / "probe")
    result = judged("faulted.py", tmp_path / "job", "disk" if mounted else "file", 20 if FULL else 1)
    assert result["wrong"] == []
    assert set(result["codes"]) == {"74"}


def test_failing_io_gives_equal_output_or_a_failure_that_says_so(tmp_path: Path) -> None:
    if not FULL or not FIU.exists():
        pytest.skip("200 runs of failing reads and writes: WEBTEXT_FULL=1 and libfiu (Debian's fiu-utils)")
    assert judged("faulted.py", tmp_path, "io", 200, LD_PRELOAD=str(FIU))["wrong"] == []


def test_a_clock_that_jumps_changes_no_byte(tmp_path: Path) -> None:
    """Every look at the clock is ten minutes after the one before; monotonic time is left alone."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if not FULL or library is None:
        pytest.skip("two whole runs: WEBTEXT_FULL=1 and libfaketime (Debian's faketime)")
    plain = judged("faulted.py", tmp_path / "plain", "none", 0)
    jumping = {"FAKETIME": "@2031-05-05 00:00:00 i600.0", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "LD_PRELOAD": str(library)}
    assert judged("faulted.py", tmp_path / "jumping", "none", 0, **jumping) == plain


@pytest.mark.skipif(not FULL, reason="ten minutes; WEBTEXT_FULL=1")
def test_ten_minutes_of_hostile_servers_leave_memory_descriptors_and_rate() -> None:
    result = judged("soak.py", 600)
    assert result["slope_mb_a_minute"] < 1
    assert result["descriptors"][0] == result["descriptors"][1]
    assert result["mixed_urls_a_second"] >= 0.8 * result["clean_urls_a_second"]


def can_mount(probe: Path) -> bool:
    """A container's root may not."""
    probe.mkdir()
    if shutil.which("mount") is None:
        return False
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(probe)], capture_output=True, check=False)
    return made.returncode == 0 and subprocess.run(["umount", str(probe)], check=False).returncode == 0

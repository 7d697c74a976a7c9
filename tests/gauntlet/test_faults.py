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


def judged(program: str, *words: object, preload: str = "") -> dict[str, Any]:
    """What a program of this folder says at its end, on a line of JSON."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE.parent)))}
    if preload:
        environment["LD_PRELOAD"] = preload
    command = [sys.executable, str(HERE / program), *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_damaged_file_is_found_before_its_first_use(tmp_path: Path) -> None:
    flips, cuts = (500, 100) if FULL else (14, 7)
    counts = judged("corrupted.py", tmp_path, flips, cuts)
    assert {"WARC", "Parquet", "IPC shard", "manifest", "tokenizer", "checkpoint"} <= counts.keys()
    assert sum(found for found, _, _ in counts.values()) == flips + cuts, counts


def test_killed_at_random_moments_it_ends_as_if_undisturbed(tmp_path: Path) -> None:
    result = judged("faulted.py", tmp_path, "kill", 100 if FULL else 2)
    assert result["wrong"] == []


def test_a_full_disk_has_its_own_exit_code_and_publishes_nothing_partial(tmp_path: Path) -> None:
    mounted = os.geteuid() == 0 and can_mount(tmp_path / "probe")
    result = judged("faulted.py", tmp_path / "job", "disk" if mounted else "file", 20 if FULL else 2)
    assert result["wrong"] == []
    assert set(result["codes"]) == {"74"}


def test_failing_io_gives_equal_output_or_a_failure_that_says_so(tmp_path: Path) -> None:
    if not FULL or not FIU.exists():
        pytest.skip("200 runs of failing reads and writes: WEBTEXT_FULL=1 and libfiu (Debian's fiu-utils)")
    assert judged("faulted.py", tmp_path, "io", 200, preload=str(FIU))["wrong"] == []


def can_mount(probe: Path) -> bool:
    """A container's root may not."""
    probe.mkdir()
    if shutil.which("mount") is None:
        return False
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(probe)], capture_output=True, check=False)
    return made.returncode == 0 and subprocess.run(["umount", str(probe)], check=False).returncode == 0

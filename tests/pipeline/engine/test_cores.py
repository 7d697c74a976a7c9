"""The cores that this process may use: affinity, and quotas of cgroups as a kernel writes them."""

import os
from pathlib import Path

import pytest

from pipeline.engine import cores

V2, V1 = "0::{path}\n", "11:memory:/x\n4:cpu,cpuacct:{path}\n0::/\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({"proc/self/cgroup": V2.format(path="/a/b"), "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": V2.format(path="/a/b"),
                "sys/fs/cgroup/a/b/cpu.max": "600000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "400000 100000\n",
            },
            4,
        ),
        ({"proc/self/cgroup": V2.format(path="/docker/1"), "sys/fs/cgroup/cpu.max": "500000 100000"}, 5),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "9900000 100000"}, 8),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
        ({"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "100000 0"}, 8),
        ({"proc/self/cgroup": V2.format(path="/../../etc"), "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        (
            {
                "proc/self/cgroup": V1.format(path="/pod"),
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": V1.format(path="/gone"),
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": V1.format(path="/"),
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            8,
        ),
    ],
)
def test_quotas_bound_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores.usable_cores(write(tmp_path, files)) == expected


def test_affinity_bounds_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    root = write(tmp_path, {"proc/self/cgroup": V2.format(path="/"), "sys/fs/cgroup/cpu.max": "600000 100000\n"})
    assert cores.usable_cores(root) == 1


def test_this_machine_has_at_least_one() -> None:
    assert 1 <= cores.usable_cores() <= (os.cpu_count() or 1)

"""The number of cores that this process may use: a container's quota and the process's affinity, not the machine's count."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP_LIST = "proc/self/cgroup"
MOUNT = "sys/fs/cgroup"
V1_MOUNTS = ("cpu,cpuacct", "cpuacct,cpu", "cpu")


def usable_cores(root: str | Path = "/") -> int:
    """The cores of the process's affinity, or fewer where a cgroup (version 1 or 2) has a quota. At least 1.

    A quota of 1.5 cores counts as 2. `root` is the folder that holds proc and sys.
    """
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return max(1, math.ceil(min([cores, *_quotas(Path(root))])))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in cores, of the process's cgroup and of every group above it."""
    for line in _text(root / CGROUP_LIST).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for folder in _folders(root / MOUNT, path):
                yield from _version_2(folder)
        elif "cpu" in controllers.split(","):
            for mount in V1_MOUNTS:
                for folder in _folders(root / MOUNT / mount, path):
                    yield from _version_1(folder)


def _folders(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those above it, up to the mount. In a container the group's own may be the mount."""
    folder = mount / path.strip("/")
    while folder != mount and folder.is_relative_to(mount):
        yield folder
        folder = folder.parent
    yield mount


def _version_2(folder: Path) -> Iterator[float]:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    yield from _ratio(quota, period)


def _version_1(folder: Path) -> Iterator[float]:
    yield from _ratio(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> Iterator[float]:
    """The quota in cores; nothing for `max`, -1, and what is no number."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return
    if cores > 0:
        yield cores


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

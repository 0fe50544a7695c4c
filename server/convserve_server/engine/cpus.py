"""How many CPUs this process may really use: its affinity, and the quota of its control group."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs to size threads by, at least 1: the affinity mask, cut to the CPU quota of the control group, rounded up.

    In a container the number of cores of the machine says little: a quota of 2 CPUs on a 64-core host is 2 here.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota(root)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def _cgroup_quota(root: Path) -> float | None:
    """The tightest CPU quota on the way from this process's control group to the top; None where there is none."""
    quotas = []
    for controllers, group in _groups(root / "proc/self/cgroup"):
        if controllers == "":
            quotas += [q for d in _upwards(root / "sys/fs/cgroup", group) if (q := _read_v2(d)) is not None]
        elif "cpu" in controllers.split(","):
            for mount in ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"):
                quotas += [q for d in _upwards(root / mount, group) if (q := _read_v1(d)) is not None]
    return min(quotas, default=None)


def _groups(file: Path) -> list[tuple[str, str]]:
    """Lines like "0::/a/b" (version 2) and "4:cpu,cpuacct:/a/b" (version 1)."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    return [(parts[1], parts[2]) for line in lines if len(parts := line.split(":", 2)) == 3]


def _upwards(mount: Path, group: str) -> list[Path]:
    """The group's folder and those above it. In a container the path may lie outside of what is mounted."""
    relative = Path(group.lstrip("/"))
    return [mount / part for part in (relative, *relative.parents)]


def _read_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _read_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None

"""Threads are sized from the CPUs that the process may really use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from convserve_server.engine.cpus import usable_cpus


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("200000 100000", 2),
        ("50000 100000", 1),
        ("250000 100000", 3),
        ("max 100000", 8),
        ("9900000 100000", 8),
        ("junk", 8),
    ],
)
def test_a_version_2_quota_is_rounded_up(tmp_path: Path, quota: str, cpus: int) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota + "\n"})
    assert usable_cpus(root) == cpus


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/container\n",
            "sys/fs/cgroup/pod/container/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/cpu.max": "300000 100000",
            "sys/fs/cgroup/cpu.max": "600000 100000",
        },
    )
    assert usable_cpus(root) == 3


def test_a_group_path_from_outside_of_the_container_falls_back_to_the_mount(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/self/cgroup": "0::/../../host/slice\n", "sys/fs/cgroup/cpu.max": "200000 100000"})
    assert usable_cpus(root) == 2


@pytest.mark.parametrize(("quota", "cpus"), [("400000", 4), ("-1", 8)])
def test_a_version_1_quota_counts_too(tmp_path: Path, quota: str, cpus: int) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n",
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000",
        },
    )
    assert usable_cpus(root) == cpus

"""What a process and its children have used, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """The process and everything that descends from it, as far as it is alive."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, new = [], [pid]
    while new:
        found += new
        new = [child for parent in new for child in children.get(parent, [])]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes, in steps of a hundredth of a second."""
    return sum(int(fields[11]) + int(fields[12]) for pid in pids if (fields := _stat(pid))) / _TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory; pages that processes share count for each of them."""
    return sum(int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE for pid in pids)


def thread_count(pid: int) -> int:
    """Threads of one process."""
    return len(list((_PROC / str(pid) / "task").iterdir()))


def descriptor_count(pid: int) -> int:
    """Open file descriptors of one process."""
    return len(list((_PROC / str(pid) / "fd").iterdir()))


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty where the process is gone."""
    try:
        # The name before stands in brackets and may hold anything, brackets too.
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []

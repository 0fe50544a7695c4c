"""What a run of the load generator is told: what to send, where, how hard and for how long."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_IN_FLIGHT = 4096
"""Calls that a fixed rate lets pile up before sending waits. Latency counts from when they were due all the same."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run. It travels to worker processes, so it holds plain values."""

    link: Mapping[str, Any]
    """Keyword arguments of a client: target, timeout, tls and so on."""
    method: str
    """/package.Service/Method"""
    body: bytes
    """The serialized request that is sent again and again."""
    rows: int = 1
    """Rows in a request, for the throughput in rows."""
    reply_bytes: int | None = None
    """Set to have every reply's length compared with it."""
    rate: float | None = None
    """Requests a second that are due, whatever the server does; None for a closed loop."""
    concurrency: int = 8
    """Calls in flight in a closed loop."""
    connections: int = 4
    processes: int = 1
    seconds: float = 10.0
    requests: int | None = None
    """Counted requests after which the run ends, if its seconds have not ended it before."""
    warm_up: float = 1.0
    """Seconds of the same load before the first counted request."""

    @property
    def streams(self) -> list[int]:
        """Calls in flight of each connection in a closed loop."""
        return shares(self.concurrency, self.connections)


def shares(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole numbers that differ by at most one."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def usual_connections(concurrency: int | None) -> int:
    """Four, where there are calls for so many: enough for servers that spread work by connection."""
    return 4 if concurrency is None else min(4, concurrency)


def usual_processes(connections: int) -> int:
    """Half of the CPUs, for the server may need the others; never more than there are connections."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(connections, cpus // 2))

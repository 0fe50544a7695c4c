"""No descriptor is left: connections wait or are refused, the server does not spin, and all is well once some are."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from support.survival import answers_rightly, settled, state, surviving

from benchmarks import figures

LIMIT = 64
WATCHED = 2.0
"""Seconds for which the server's CPU time is looked at."""


def test_without_descriptors_it_does_not_spin_and_recovers_when_there_are_some(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:
        process = server.process.pid
        before = state(process)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        host, _, port = server.address.rpartition(":")
        with ExitStack() as stack:
            for _ in range(2 * LIMIT):
                with suppress(OSError):
                    stack.enter_context(socket.create_connection((host, int(port)), timeout=1))
            limit = time.monotonic() + 10
            while state(process).descriptors < LIMIT - 2 and time.monotonic() < limit:
                time.sleep(0.05)
            assert state(process).descriptors >= LIMIT - 2, "the fault did not happen"
            used = figures.cpu_seconds([process])
            time.sleep(WATCHED)
            used = figures.cpu_seconds([process]) - used
            assert used < WATCHED / 2, f"{used:.2f} s of CPU in {WATCHED:g} s without a call"
            assert server.process.poll() is None
        assert settled(process, before.descriptors).descriptors <= before.descriptors + 1
        answers_rightly(server.address)

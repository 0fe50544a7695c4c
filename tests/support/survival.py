"""A server that is to stand something: it answers a normal caller afterwards, and has kept nothing of what was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from convserve_proto import open_inference as oip

from benchmarks import figures
from support.artifacts import write_sum
from support.requests import infer_request, outputs_of
from support.servers import ServerProcess, call

METHOD = "/inference.GRPCInferenceService/ModelInfer"
MEMORY_MB = 1.0
"""What two equal rounds may differ by."""
ROUNDS = 6
POOLS = 110
"""Threads that a server may have when all its pools are full; they fill up one by one, and stay."""
_SETTLE_SECONDS = 15.0


@dataclass(frozen=True)
class State:
    """What a process holds."""

    memory_mb: float
    threads: int
    descriptors: int


def state(process: int) -> State:
    """Now."""
    return State(
        figures.resident_bytes([process]) / 1e6, figures.thread_count(process), figures.descriptor_count(process)
    )


def body(value: float = 1.0, rows: int = 1) -> bytes:
    """A request to the model ``sum``."""
    array = np.full((rows, 2), value, np.float32)
    content: bytes = infer_request("sum", {"a": array, "b": array}).SerializeToString()
    return content


def answers_rightly(address: str, calls: int = 20, timeout: float = 20) -> None:
    """A normal caller, on a connection of its own, is answered with its own numbers."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        for number in range(calls):
            array = np.full((1 + number % 3, 2), float(number), np.float32)
            request = infer_request("sum", {"a": array, "b": array})
            response = call(channel, METHOD, request, oip.ModelInferResponse, timeout)
            assert (outputs_of(response)["total"] == 2 * array).all()


def settled(process: int, descriptors: int) -> State:
    """What the process holds once its descriptors are so few again, or have had their time."""
    limit = time.monotonic() + _SETTLE_SECONDS
    while (now := state(process)).descriptors > descriptors and time.monotonic() < limit:
        time.sleep(0.05)
    return now


@contextmanager
def surviving(folder: Path, *arguments: str, **environment: str) -> Iterator[ServerProcess]:
    """A server that is called rightly before and after, and stops well without a word of a bug in its log."""
    if not (folder / "models").exists():
        write_sum(folder / "models")
    with ServerProcess(folder / "models", folder, "--provider", "cpu", *arguments, **environment) as server:
        answers_rightly(server.address)
        yield server
        answers_rightly(server.address)
        assert server.stop() == 0, server.log.read_text()[-2000:]
    log = server.log.read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]
    assert "never answered" not in log
    assert "answered twice" not in log


def leaves_nothing(server: ServerProcess, fault: Callable[[], object]) -> None:
    """There comes a time after which the server holds no more than after the time before.

    Pools of threads and the allocator's fill up at first; what adds up each time never stops. Descriptors come back
    each time.
    """
    process = server.process.pid
    before = state(process)
    seen: list[State] = []
    for _ in range(ROUNDS):
        fault()
        answers_rightly(server.address)
        seen.append(settled(process, before.descriptors))
        assert seen[-1].descriptors <= before.descriptors + 1, (before, seen)
        if len(seen) > 1 and _no_more(seen[-1], seen[-2]):
            return
    raise AssertionError(f"it holds more each time: {before}, then {seen}")


def _no_more(now: State, last: State) -> bool:
    return now.threads <= max(last.threads, POOLS) and now.memory_mb <= last.memory_mb + MEMORY_MB

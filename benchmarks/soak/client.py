"""One client process of the soak: threads that call, cancel, run out of time and hang up at random."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from random import Random
from typing import Any

import grpc

from benchmarks.soak.bad_calls import bad_call
from benchmarks.soak.calls import Call, Calls
from benchmarks.soak.findings import Findings
from benchmarks.soak.observer import observe
from benchmarks.soak.pictures import Known
from benchmarks.soak.streams import stream

PATIENT, CANCEL, DEADLINE, HANG_UP, BAD = "patient", "cancel", "deadline", "hang up", "bad"
_BEHAVIOURS = (PATIENT, CANCEL, DEADLINE, HANG_UP, BAD)
_WEIGHTS = (74, 9, 9, 2, 6)
PATIENCE = 60.0
"""Seconds: the machine may be busy with other things, and the server stands still now and then."""
_IMPATIENCE = 0.02
"""Seconds at most until a call is cancelled, out of time, or cut off."""
_HUNG_UP_CALLS = 4

# What may come of a call beside what it asks for. RESOURCE_EXHAUSTED is a refusal: never accepted.
_ALLOWED: dict[str, set[str]] = {
    PATIENT: {"RESOURCE_EXHAUSTED"},
    BAD: set(),
    CANCEL: {"CANCELLED", "RESOURCE_EXHAUSTED"},
    DEADLINE: {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"},
    HANG_UP: {"CANCELLED", "RESOURCE_EXHAUSTED"},
}


@dataclass(frozen=True)
class Plan:
    """What a client does."""

    address: str
    metrics: str
    """http://HOST:PORT of the server's metrics."""
    threads: int
    """That make unary calls; one more has streams, and one asks how the server is."""
    seconds: float
    known: Sequence[Known]


def work(plan: Plan, number: int, pipe: Pipe) -> None:
    """Call for so long, then send the findings."""
    end = time.monotonic() + plan.seconds
    every = [Findings() for _ in range(plan.threads + 2)]
    targets: list[Any] = [_unary] * plan.threads + [_streams, _observe]
    workers = [
        threading.Thread(target=target, args=(plan, number * 1000 + n, end, findings), daemon=True)
        for n, (target, findings) in enumerate(zip(targets, every, strict=True))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(plan.seconds + 2 * PATIENCE)
    total = Findings()
    for worker, findings in zip(workers, every, strict=True):
        if worker.is_alive():
            findings.violation("a thread of the client waits for an answer long after its deadline")
        total.merge(findings)
    pipe.send(total)


def _unary(plan: Plan, identity: int, end: float, findings: Findings) -> None:
    calls, random = Calls(identity, plan.known), Random(identity)
    with _channel(plan.address) as channel:
        while time.monotonic() < end:
            behaviour = random.choices(_BEHAVIOURS, _WEIGHTS)[0]
            if behaviour == HANG_UP:
                _hang_up(plan.address, [calls.next() for _ in range(_HUNG_UP_CALLS)], random, findings)
                continue
            call = bad_call(calls) if behaviour == BAD else calls.next()
            timeout = random.uniform(0, _IMPATIENCE) if behaviour == DEADLINE else PATIENCE
            future = _begin(channel, call, timeout)
            if behaviour == CANCEL:
                time.sleep(random.uniform(0, _IMPATIENCE))
                future.cancel()
            judge(call, behaviour, future, findings)


def _streams(plan: Plan, identity: int, end: float, findings: Findings) -> None:
    calls = Calls(identity, plan.known)
    with _channel(plan.address) as channel:
        while time.monotonic() < end:
            stream(channel, calls, findings, PATIENCE)


def _observe(plan: Plan, identity: int, end: float, findings: Findings) -> None:
    calls = Calls(identity, plan.known)
    with _channel(plan.address) as channel:
        observe(channel, plan.metrics, calls, end, findings)


def _hang_up(address: str, calls: list[Call], random: Random, findings: Findings) -> None:
    """Close the connection with calls under way."""
    with _channel(address) as channel:
        futures = [_begin(channel, call, PATIENCE) for call in calls]
        time.sleep(random.uniform(0, _IMPATIENCE))
    for call, future in zip(calls, futures, strict=True):
        judge(call, HANG_UP, future, findings)


def judge(call: Call, behaviour: str, future: Any, findings: Findings) -> None:
    """Wait for the one outcome that a call has and hold it against what may come of it."""
    try:
        code = future.code().name  # waits
    except grpc.FutureCancelledError:
        code = "CANCELLED"
    findings.outcomes[f"{call.kind}, {behaviour}, {code}"] += 1
    if code not in call.codes | _ALLOWED[behaviour]:
        findings.violation(f"{call.kind}, {behaviour}: {code} {future.details()}")
    elif code == "OK" and (wrong := call.wrong(future.result())):
        findings.violation(f"{call.kind}, {behaviour}: {wrong}")


def _begin(channel: grpc.Channel, call: Call, timeout: float) -> Any:
    method: Any = channel.unary_unary(call.method)
    return method.future(call.body, timeout)


def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])

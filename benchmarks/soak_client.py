"""One client process of the soak: threads that call, cancel, run out of time and hang up at random."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from random import Random
from typing import Any

import grpc

from benchmarks.soak_calls import Call, Calls

PATIENT, CANCEL, DEADLINE, HANG_UP = "patient", "cancel", "deadline", "hang up"
_BEHAVIOURS = (PATIENT, CANCEL, DEADLINE, HANG_UP)
_WEIGHTS = (80, 9, 9, 2)
_PATIENCE = 30.0
_IMPATIENCE = 0.02
"""Seconds at most until a call is cancelled, out of time, or cut off."""
_HUNG_UP_CALLS = 4
_KEPT = 20
"""Sentences about violations that are kept; all are counted."""

# What may come of a call that did not wait for its answer. RESOURCE_EXHAUSTED is a refusal: never accepted.
_ALLOWED = {
    PATIENT: {"OK", "RESOURCE_EXHAUSTED"},
    CANCEL: {"OK", "CANCELLED", "RESOURCE_EXHAUSTED"},
    DEADLINE: {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"},
    HANG_UP: {"OK", "CANCELLED", "RESOURCE_EXHAUSTED"},
}


@dataclass
class Findings:
    """What one client has seen."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """By kind of call, behaviour and status."""
    violations: int = 0
    sentences: list[str] = field(default_factory=list)

    def violation(self, sentence: str) -> None:
        """Count what must never happen."""
        self.violations += 1
        if len(self.sentences) < _KEPT:
            self.sentences.append(sentence)

    def merge(self, other: Findings) -> None:
        """Add another's."""
        self.outcomes.update(other.outcomes)
        self.violations += other.violations
        self.sentences = (self.sentences + other.sentences)[:_KEPT]


def work(address: str, number: int, threads: int, seconds: float, classes: dict[bytes, str], pipe: Pipe) -> None:
    """Call for so long with so many threads, then send the findings."""
    end = time.monotonic() + seconds
    every = [Findings() for _ in range(threads)]
    workers = [
        threading.Thread(target=_run, args=(address, number * 1000 + n, end, classes, findings), daemon=True)
        for n, findings in enumerate(every)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(seconds + 2 * _PATIENCE)
    total = Findings()
    for worker, findings in zip(workers, every, strict=True):
        if worker.is_alive():
            findings.violation("a thread of the client waits for an answer long after its deadline")
        total.merge(findings)
    pipe.send(total)


def _run(address: str, identity: int, end: float, classes: dict[bytes, str], findings: Findings) -> None:
    calls, random = Calls(identity, classes), Random(identity)
    with _channel(address) as channel:
        while time.monotonic() < end:
            behaviour = random.choices(_BEHAVIOURS, _WEIGHTS)[0]
            if behaviour == HANG_UP:
                _hang_up(address, [calls.next() for _ in range(_HUNG_UP_CALLS)], random, findings)
                continue
            call = calls.next()
            timeout = random.uniform(0, _IMPATIENCE) if behaviour == DEADLINE else _PATIENCE
            future = _begin(channel, call, timeout)
            if behaviour == CANCEL:
                time.sleep(random.uniform(0, _IMPATIENCE))
                future.cancel()
            _judge(call, behaviour, future, findings)


def _hang_up(address: str, calls: list[Call], random: Random, findings: Findings) -> None:
    """Close the connection with calls under way."""
    with _channel(address) as channel:
        futures = [_begin(channel, call, _PATIENCE) for call in calls]
        time.sleep(random.uniform(0, _IMPATIENCE))
    for call, future in zip(calls, futures, strict=True):
        _judge(call, HANG_UP, future, findings)


def _judge(call: Call, behaviour: str, future: Any, findings: Findings) -> None:
    """Wait for the one outcome that a call has and hold it against what may come of it."""
    try:
        code = future.code().name  # waits
    except grpc.FutureCancelledError:
        code = "CANCELLED"
    findings.outcomes[f"{call.kind}, {behaviour}, {code}"] += 1
    if code not in _ALLOWED[behaviour]:
        findings.violation(f"{call.kind}, {behaviour}: {code} {future.details()}")
    elif code == "OK" and (wrong := call.wrong(future.result())):
        findings.violation(f"{call.kind}, {behaviour}: {wrong}")


def _begin(channel: grpc.Channel, call: Call, timeout: float) -> Any:
    method: Any = channel.unary_unary(call.method)
    return method.future(call.body, timeout)


def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)])

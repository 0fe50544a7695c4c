"""The soak from its first client to its last look: clients that stay, clients that are killed, reloads and faults."""

from __future__ import annotations

import multiprocessing
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess
from pathlib import Path
from random import Random

import grpc
from convserve_proto import vision_pb2

from benchmarks.servers import Question, Running, ServerFailed, ask
from benchmarks.soak.calls import Calls
from benchmarks.soak.client import Plan, work
from benchmarks.soak.faults import Target, inflict
from benchmarks.soak.findings import Findings
from benchmarks.soak.flatness import Sample, Watch, look
from benchmarks.soak.pictures import CLASSIFY, Known, classify_request, images
from benchmarks.soak.pools import fill_pools
from benchmarks.soak.reloads import Reloader

_PICTURES = 24
_LIFE = 15.0
"""Seconds that a client lives which is killed in the middle of its calls."""
_PAUSE = 3.0
"""Seconds at most between two reloads, and between two faults."""
_SETTLE = 3.0
"""Seconds after the last client until the server is looked at for the last time."""
_SAMPLES = 400


@dataclass(frozen=True)
class Event:
    """Something that was done to the server."""

    seconds: float
    what: str


@dataclass
class Outcome:
    """All that was seen."""

    findings: Findings
    before: Sample
    after: Sample
    """The idle server before the first client and after the last one."""
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    spoilt: list[Path] = field(default_factory=list)
    """Versions that the server had to refuse."""


@dataclass(frozen=True)
class Shape:
    """How much load, and for how long."""

    seconds: float
    clients: int
    threads: int


def soak(server: Running, metrics: str, repository: Path, shape: Shape) -> Outcome:
    """Load a server that has just become ready. Raises ServerFailed where a client does not come to its end."""
    known = _known(server.address)
    started = time.monotonic()
    before = look(server.pid, started)
    outcome = Outcome(Findings(), before, before)
    plan = Plan(server.address, metrics, shape.threads, shape.seconds, known)
    every = max(0.1, min(10.0, shape.seconds / _SAMPLES))
    with Watch(server.pid, every=every, started=started) as watch, ExitStack() as stack:
        fill_pools(server.address, Calls(0, known))
        end = started + shape.seconds
        pipes = [_start(stack, plan, n)[1] for n in range(1, shape.clients + 1)]
        channel = stack.enter_context(grpc.insecure_channel(server.address))
        reloader = Reloader(channel, repository, Calls(0, known), outcome.findings)
        target = Target(server.address, server.pid, Random(1))
        random = Random(2)
        disturbers = [
            _Disturber(lambda: inflict(target), started, end, Random(3)),
            _Disturber(lambda: "reload: " + reloader.change(random), started, end, Random(4)),
        ]
        for disturber in disturbers:
            disturber.start()
        _kill_clients(plan, shape.clients + 1, end)
        for disturber in disturbers:
            disturber.join(120)
            if disturber.error is not None or disturber.is_alive():
                outcome.findings.violation(f"what was to be done to the server could not be: {disturber.error!r}")
            outcome.events += disturber.events
        for pipe in pipes:
            if not pipe.poll(120):
                raise ServerFailed("a client did not finish: it waits for answers that do not come")
            outcome.findings.merge(pipe.recv())
    time.sleep(_SETTLE)
    _count_leftovers(metrics, outcome.findings)
    outcome.events.sort(key=lambda e: e.seconds)
    for event in outcome.events:
        if not event.what.startswith("reload"):
            outcome.findings.outcomes[f"fault, {event.what}"] += 1
    outcome.samples, outcome.after, outcome.spoilt = watch.samples, look(server.pid, started), reloader.spoilt
    return outcome


class _Disturber(threading.Thread):
    """Does something again and again, with pauses."""

    def __init__(self, act: Callable[[], str], started: float, end: float, random: Random) -> None:
        super().__init__(daemon=True)
        self._act, self._zero, self._end, self._random = act, started, end, random
        self.events: list[Event] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while (left := self._end - time.monotonic()) > 0:
                now = time.monotonic() - self._zero
                self.events.append(Event(now, self._act()))
                time.sleep(min(left, self._random.uniform(0, _PAUSE)))
        except Exception as error:
            self.error = error


def _kill_clients(plan: Plan, number: int, end: float) -> None:
    """One client after the other, each killed in the middle of its calls, until ``end``."""
    while (left := end - time.monotonic()) > 0:
        with ExitStack() as victims:
            process, _ = _start(victims, plan, number)
            time.sleep(min(left, _LIFE))
            process.kill()
        number += 1


def _start(stack: ExitStack, plan: Plan, number: int) -> tuple[SpawnProcess, Pipe]:
    """A client process, which does not outlive the stack."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(plan, number, theirs), daemon=True)
    process.start()
    theirs.close()
    stack.callback(ours.close)
    stack.callback(process.join)
    stack.callback(process.kill)
    return process, ours


def _known(address: str) -> Sequence[Known]:
    """Pictures with the class that the idle server gives each of them, asked one by one."""
    found = []
    for image in images(_PICTURES):
        reply = ask(address, Question(CLASSIFY, classify_request([image]), bool))
        (best,) = vision_pb2.ClassifyResponse.FromString(reply).results[0].classifications
        found.append(Known(image, best.label, best.probability))
    return found


def _count_leftovers(metrics: str, findings: Findings) -> None:
    """Nobody calls any more: nothing may be in flight, and no rows may wait."""
    with urllib.request.urlopen(metrics + "/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    for line in lines:
        if line.startswith(("convserve_calls_in_flight{", "convserve_queue_rows{")) and float(line.split()[-1]):
            findings.violation(f"after the last client there is still {line}")

"""Runs a plan in worker processes and puts their reports together."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnContext, SpawnProcess

from convserve_client import defaults
from convserve_client.bench.histogram import Histogram
from convserve_client.bench.load import Tally
from convserve_client.bench.plan import Plan
from convserve_client.bench.worker import Report, work
from convserve_client.errors import ConvserveError

NOT_SENT = "NOT_SENT"
"""Counted in place of a status for requests that were due and not sent: too many waited for their answers."""
_LEAD = 0.05
"""Seconds between the word to start and the start, so that all processes begin together."""
_START = 60.0
"""Seconds that a process may take to start and connect."""
_PATIENCE = 30.0
"""Seconds beyond its plan and its deadlines that a process is waited for."""


class GeneratorFailed(ConvserveError):
    """A process of the load generator ended before its work did."""


@dataclass(frozen=True)
class Result:
    """What a run has measured. Seconds throughout."""

    plan: Plan
    seconds: float
    """From the first counted request to the last counted answer."""
    latency: Histogram
    """Of requests answered with OK."""
    refusal: Histogram
    """Of requests refused with RESOURCE_EXHAUSTED, from when they were sent."""
    lag: Histogram
    """By how much requests of a fixed rate were sent after they were due."""
    errors: Counter[str] = field(default_factory=Counter)
    """Requests that failed, by the name of their status code."""
    generator_cpu: float = 0.0
    """CPU seconds of the generator for each call."""
    generator_load: float = 0.0
    """How busy its busiest process was; 1 is a whole core."""

    @property
    def requests(self) -> int:
        """Counted requests, failed ones too."""
        return self.latency.count + self.errors.total()

    @property
    def throughput(self) -> float:
        """Requests answered with OK in a second."""
        return self.latency.count / self.seconds if self.seconds > 0 else 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows answered with OK in a second."""
        return self.throughput * self.plan.rows


def run(plan: Plan) -> Result:
    """Carry a plan out. Raises GeneratorFailed where a worker process dies."""
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    with _workers(context, plan) as pipes:
        for pipe in pipes:
            _receive(pipe, _START)
        start = time.monotonic() + _LEAD
        for pipe in pipes:
            pipe.send(start)
        patience = plan.warm_up + plan.seconds + 3 * plan.link.get("timeout", defaults.TIMEOUT) + _PATIENCE
        reports: list[Report] = [_receive(pipe, patience) for pipe in pipes]
    return combine(plan, reports, start + plan.warm_up)


def combine(plan: Plan, reports: Iterable[Report], begin: float) -> Result:
    """The result of a run whose first request counted from ``begin`` on the monotonic clock."""
    tally, reports = Tally(), list(reports)
    for report in reports:
        tally.merge(report.tally)
        if report.lost:
            tally.errors["NO_ANSWER"] += report.lost
    if tally.not_sent:
        tally.errors[NOT_SENT] += tally.not_sent
    return Result(
        plan,
        seconds=max(0.0, tally.last_answer - begin),
        latency=tally.latency,
        refusal=tally.refusal,
        lag=tally.lag,
        errors=tally.errors,
        generator_cpu=sum(r.cpu_seconds for r in reports) / max(1, sum(r.calls for r in reports)),
        generator_load=max((r.cpu_seconds / r.wall_seconds for r in reports if r.wall_seconds), default=0.0),
    )


@contextmanager
def _workers(context: SpawnContext, plan: Plan) -> Iterator[list[Pipe]]:
    pipes: list[Pipe] = []
    processes: list[SpawnProcess] = []
    try:
        for number in range(plan.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(plan, number, theirs), name=f"bench-{number}", daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            pipes.append(ours)
            processes.append(process)
        yield pipes
        for process in processes:
            process.join(5)
    finally:
        for process in processes:
            process.kill()
            process.join()
            process.close()
        for pipe in pipes:
            pipe.close()


def _receive(pipe: Pipe, seconds: float) -> Report:
    try:
        if pipe.poll(seconds):
            received: Report = pipe.recv()
            return received
    except EOFError:
        raise GeneratorFailed("a process of the load generator died; what it printed says why") from None
    raise GeneratorFailed(f"a process of the load generator did not answer for {seconds:.0f} s")

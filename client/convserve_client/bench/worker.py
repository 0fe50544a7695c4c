"""One process of the load generator: its channels, its part of the load, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc

from convserve_client import defaults
from convserve_client.bench.load import Connection, Reply, Send, Tally, Window, due_times, send_at_rate
from convserve_client.bench.plan import MOST_IN_FLIGHT, Plan, shares
from convserve_client.link import Link

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

_LOOK = 0.01
"""Seconds between two looks whether all calls are answered."""
_LATE = 0.1
"""Seconds after its end that a fixed rate may still send what was due before."""
_CONNECT = 10.0
"""Seconds that connecting may take; what is not there then shows as errors of its calls."""


@dataclass(frozen=True)
class Report:
    """What one process has done."""

    tally: Tally
    cpu_seconds: float
    wall_seconds: float
    calls: int
    """Answered calls, counted or not, that the CPU time was spent on."""
    lost: int
    """Calls without an answer long after their deadline: a fault of the generator itself."""


def work(plan: Plan, number: int, pipe: Pipe) -> None:
    """Connect, tell ``pipe``, wait for it to say when to start, do this process's share, send the report."""
    with opened(plan, plan.connections // plan.processes + (number < plan.connections % plan.processes)) as methods:
        pipe.send("connected")
        start: float = pipe.recv()
        pipe.send(perform(plan, number, methods, start))


def perform(plan: Plan, number: int, methods: list[Send], start: float) -> Report:
    """Process ``number``'s share of the plan, over its methods, from ``start`` on the monotonic clock."""
    begin = start + plan.warm_up
    requests = None if plan.requests is None else shares(plan.requests, plan.processes)[number]
    window = Window(begin, begin + plan.seconds, requests)
    while (wait := start - time.monotonic()) > 0:
        time.sleep(wait)
    cpu, wall = time.process_time(), time.monotonic()
    if plan.rate is None:
        budgets = [None] * len(methods) if requests is None else shares(requests, len(methods))
        connections = [
            Connection(send, Window(window.begin, window.end, budget), reply_bytes=plan.reply_bytes)
            for send, budget in zip(methods, budgets, strict=True)
        ]
        # Connection k of all belongs to process k modulo processes, and so do its calls in flight.
        for connection, calls in zip(connections, plan.streams[number :: plan.processes], strict=True):
            connection.keep_busy(calls)
    else:
        connections = [Connection(send, window, reply_bytes=plan.reply_bytes) for send in methods]
        due = due_times(window, start=start, rate=plan.rate, number=number, processes=plan.processes)
        send_at_rate(connections, due, most_in_flight=MOST_IN_FLIGHT // plan.processes, end=window.end + _LATE)
    _wait_for_answers(plan, connections, window.end)
    tally = Tally()
    for connection in connections:
        tally.merge(connection.tally)
    return Report(
        tally,
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.monotonic() - wall,
        calls=sum(c.answered for c in connections),
        lost=sum(c.in_flight for c in connections),
    )


def _wait_for_answers(plan: Plan, connections: list[Connection], end: float) -> None:
    """Until all calls are answered: every one has a deadline, so that is soon after the last was sent."""
    limit = max(end, time.monotonic()) + 2 * plan.link.get("timeout", defaults.TIMEOUT)
    while any(c.in_flight for c in connections) and time.monotonic() < limit:
        time.sleep(_LOOK)


@contextmanager
def opened(plan: Plan, connections: int) -> Iterator[list[Send]]:
    """So many connected channels, as functions that send the plan's request over each."""
    link = _Connections(**plan.link)
    with ExitStack() as stack:
        channels = [stack.enter_context(link.channel(number)) for number in range(connections)]
        limit = time.monotonic() + _CONNECT
        for channel in channels:
            try:
                grpc.channel_ready_future(channel).result(max(0.0, limit - time.monotonic()))
            except grpc.FutureTimeoutError:
                break
        yield [link.sender(channel, plan) for channel in channels]


class _Connections(Link):
    """Channels with a client's settings that share nothing, each a connection of its own."""

    def channel(self, number: int) -> grpc.Channel:
        options = [
            *self._channel_options(),
            # Channels with equal options share one connection unless told otherwise.
            ("grpc.use_local_subchannel_pool", 1),
            ("convserve.bench.connection", number),
        ]
        credentials = self._credentials()
        if credentials is None:
            return grpc.insecure_channel(self.target, options)
        return grpc.secure_channel(self.target, credentials, options)

    def sender(self, channel: grpc.Channel, plan: Plan) -> Send:
        call: Any = channel.unary_unary(plan.method)
        body, timeout, metadata = plan.body, self.timeout, self._metadata
        return lambda: cast(Reply, call.future(body, timeout, metadata))

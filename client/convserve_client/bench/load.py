"""Sends calls in a closed loop or at a fixed rate, and tallies the answers.

Calls are futures of gRPC's public API with serialized bytes in and out; the thread of a channel hands each answer to a
callback, which sends the next call of a closed loop at once. Measured with 12 KB requests: 111-124 µs of CPU a call,
against 91-119 µs with grpc.aio and 178-227 µs with a thread for each call. grpc.aio lost because timers of asyncio
round up to whole milliseconds, which is longer than a call takes: a fixed rate needs better.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from convserve_client.bench.histogram import Histogram

REFUSED = "RESOURCE_EXHAUSTED"
WRONG_SIZE = "WRONG_SIZE"
"""Counted in place of a status for replies that have another length than they should."""

Clock = Callable[[], float]


class Reply(Protocol):
    """A gRPC future, as far as it is needed here."""

    def add_done_callback(self, callback: Callable[[Reply], None]) -> None:
        """Call ``callback`` once answered; at once where it is."""

    def code(self) -> object:
        """The status, which has a name."""

    def result(self) -> bytes:
        """The reply's bytes."""


Send = Callable[[], Reply]


@dataclass
class Tally:
    """What came back over one connection, and later the sum of all."""

    latency: Histogram = field(default_factory=Histogram)
    """Of answers with status OK."""
    refusal: Histogram = field(default_factory=Histogram)
    """Of answers with status RESOURCE_EXHAUSTED, from when they were sent."""
    lag: Histogram = field(default_factory=Histogram)
    """By how much calls of a fixed rate were sent after they were due."""
    errors: Counter[str] = field(default_factory=Counter)
    """By the name of the status code."""
    last_answer: float = 0.0
    """When the last counted answer came, on the clock."""
    not_sent: int = 0
    """Calls of a fixed rate that were due and could not be sent before the end: too many waited for their answers."""

    def merge(self, other: Tally) -> None:
        """Add what another tally has counted."""
        self.latency.merge(other.latency)
        self.refusal.merge(other.refusal)
        self.lag.merge(other.lag)
        self.errors.update(other.errors)
        self.last_answer = max(self.last_answer, other.last_answer)
        self.not_sent += other.not_sent


@dataclass(frozen=True)
class Window:
    """The part of a run that counts, on the clock: calls that begin in it, ``requests`` at most (for ever if None)."""

    begin: float
    end: float
    requests: int | None = None


class Connection:
    """One channel's calls and their tally."""

    def __init__(self, send: Send, window: Window, *, reply_bytes: int | None = None, clock: Clock = time.monotonic):
        self.tally = Tally()
        self._send, self._window, self._reply_bytes, self._clock = send, window, reply_bytes, clock
        self._left = window.requests
        self._sent = 0
        self.answered = 0
        # Answers come in the channel's thread, save one that is there before its callback is.
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return self._sent - self.answered

    def keep_busy(self, calls: int) -> None:
        """Have so many calls in flight until the window ends."""
        for _ in range(calls):
            self._send_next()

    def _send_next(self) -> None:
        now = self._clock()
        with self._lock:
            if now >= self._window.end or not self._take(now):
                return
            self._sent += 1
        self._begin(now, then=self._send_next)

    def _take(self, begun: float) -> bool:
        """Whether one more request may be sent; those before the window are free."""
        if self._left is None or begun < self._window.begin:
            return True
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def send_due(self, due: float) -> None:
        """Send one call whose latency counts from when it was ``due``."""
        with self._lock:
            self._sent += 1
            if due >= self._window.begin:
                self.tally.lag.record(self._clock() - due)
        self._begin(due)

    def skip(self, due: float) -> None:
        """Count a call that was ``due`` and is not sent."""
        with self._lock:
            self.tally.not_sent += due >= self._window.begin

    def _begin(self, begun: float, then: Callable[[], None] | None = None) -> None:
        sent = self._clock()

        def answered(reply: Reply) -> None:
            now = self._clock()
            with self._lock:
                if begun >= self._window.begin:
                    self._count(reply, begun, sent, now)
            if then is not None:
                then()
            with self._lock:
                self.answered += 1  # after the next was sent: in_flight is 0 only at the end

        self._send().add_done_callback(answered)

    def _count(self, reply: Reply, begun: float, sent: float, now: float) -> None:
        code: str = reply.code().name  # type: ignore[attr-defined]
        if code == "OK" and self._reply_bytes is not None and len(reply.result()) != self._reply_bytes:
            code = WRONG_SIZE
        if code == "OK":
            self.tally.latency.record(now - begun)
        else:
            self.tally.errors[code] += 1
            if code == REFUSED:
                self.tally.refusal.record(now - sent)
        self.tally.last_answer = now


def send_at_rate(
    connections: Sequence[Connection],
    due_times: Iterable[float],
    *,
    most_in_flight: int,
    end: float = math.inf,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send a call at each of the times, over the connections in turn.

    A call that cannot be sent in time is sent late and its latency counts from when it was due, so a server that
    stalls is charged for every call that would have met the stall (no coordinated omission). What is not sent at the
    ``end`` is not sent at all, and counted as such: a server far over its capacity does not make the run longer.
    """
    pairs = zip(itertools.cycle(connections), due_times, strict=False)
    for connection, due in pairs:
        while (wait := due - clock()) > 0:
            sleep(wait)
        while sum(c.in_flight for c in connections) >= most_in_flight and clock() < end:
            sleep(0.001)
        if clock() >= end:
            for late, when in itertools.chain([(connection, due)], pairs):
                late.skip(when)
            return
        connection.send_due(due)


def due_times(window: Window, *, start: float, rate: float, number: int, processes: int) -> Iterator[float]:
    """When process ``number`` of so many sends, if together they send ``rate`` a second from ``start`` on.

    Ends with the window, or after the window's requests.
    """
    every = processes / rate
    counted = 0
    for turn in itertools.count():
        due = start + number / rate + turn * every
        if due >= window.end or counted == window.requests:
            return
        counted += due >= window.begin
        yield due

"""Dynamic batching without I/O, timers or a thread of its own: whoever submits tries to lead.

A submitter puts its rows into the queue and then asks for a run slot by calling lead(). With a slot it takes what fits
from the head of the queue, its own rows and everybody else's, runs, answers all, and goes on until the queue is empty.
Without one it leaves: whoever holds the slots will take its rows next. Batches form by themselves exactly when the
engine is the bottleneck, and a lone request never waits. (The technique is known as flat combining: Hendler,
Incze, Shavit and Tzafrir, "Flat Combining and the Synchronization-Parallelism Tradeoff", 2010.)
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from convserve_server.engine.model import Answer, Array, Reply, Submitter, Waiter
from convserve_server.engine.pace import Pace
from convserve_server.engine.parts import Gather, Nobody, Part
from convserve_server.engine.priority import PriorityLine
from convserve_server.engine.statistics import Counts, SlotStatistics, merged
from convserve_server.engine.vitals import Vitals
from convserve_server.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceFailed,
    QueueFull,
    ServerError,
    TooLarge,
    WaitedTooLong,
)

log = logging.getLogger(__name__)

FAIR_SHARE = 8
"""Rows that one instance takes before it leaves what waits to the others."""
WORTH_SPREADING = 0.001
"""Seconds of a run: it takes about a tenth of that to have another thread do a part of it."""
CERTAIN = 2 / 3
"""Of the time to a deadline, for the estimated wait: estimates err, and an answer that is late is worth nothing."""

_TOO_LATE = "the deadline passed before the request was run"


class Instance(Protocol):
    """One run slot: it runs one batch at a time."""

    gathering_seconds: float
    """How long the last run took to bring its rows together."""

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        """Run the rows of all requests as one batch; the outputs have these rows in the same order."""


@dataclass
class Statistics:
    """What has happened in one batcher since it was made. Written under its lock."""

    requests: int = 0
    rows: int = 0
    batches: int = 0
    batched_rows: int = 0
    failed_batches: int = 0
    refused: int = 0
    """Refused because the queue was full, its wait too long, or the request too large."""
    too_large: int = 0
    """Those of them that were too large."""
    cancelled: int = 0
    """Dropped before a run because the caller was gone."""
    expired: int = 0
    """Dropped before a run because the caller's deadline had passed."""
    waited: int = 0
    """Dropped before a run because it had waited for longer than anything may."""
    failed_requests: int = 0
    """Accepted and not answered as they should: dropped, or in a run that failed."""
    failed_seconds: float = 0.0
    """Between their submission and their end."""

    def failed(self, error: ServerError, seconds: float) -> None:
        """Count a request that was accepted and not answered as it should be."""
        self.failed_requests += 1
        self.failed_seconds += seconds
        self.cancelled += isinstance(error, Cancelled)
        self.expired += isinstance(error, DeadlineExceeded)
        self.waited += isinstance(error, WaitedTooLong)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a batcher takes."""

    max_batch_size: int = 32
    """Rows in one run; a larger request is split and answered as one."""
    max_queue_size: int = 1024
    """Rows that may wait. An empty queue takes any request that max_request_rows allows."""
    max_request_rows: int = 1024
    max_queue_delay: float = 0.0
    """Seconds that a batch which is not full waits for company; 0 runs at once."""
    max_queue_time: float = 0.0
    """Seconds that a request may wait for its run; 0 is as long as its deadline."""


class Batcher:
    """Groups the rows of concurrent requests and runs them on the instances it was given.

    Rules: rows are counted, not requests. Only requests of equal shape (but for axis 0) share a batch. What does not
    fit stays first in line. A full queue refuses at once who cannot wait for room. Who cancelled, or whose deadline has
    passed, is dropped before it costs a run. A batch that fails is run again request by request, so that only what
    makes it fail is answered so. Safe to call from any number of threads.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        limits: Limits,
        *,
        batched: bool = True,
        spread: bool = False,
        vitals: Vitals | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        if not instances:
            raise ValueError("a batcher needs at least one instance")
        self.limits = limits
        self.statistics = Statistics()
        self.vitals = vitals or Vitals("the model", None)
        self._failed_in_a_row = 0
        self._batched = batched
        # What waits for company is not to be taken apart.
        self._spread = spread and not limits.max_queue_delay
        self._undivided = min(limits.max_batch_size, 2 * FAIR_SHARE - 1)
        self._slots = [SlotStatistics() for _ in instances]
        self._split_counts = Counts()
        self._idle = list(zip(instances, self._slots, strict=True))
        self._instances = len(instances)
        self._queue: deque[Part] | PriorityLine = deque()
        self._waiting_rows = 0
        self._pace = Pace(len(instances))
        self._awaiting_company = False
        self._clock, self._wait = clock, wait
        self._lock = threading.Lock()
        self._arrival = threading.Condition(self._lock)

    @property
    def waiting_rows(self) -> int:
        """Rows in the queue now."""
        return self._waiting_rows

    @property
    def counts(self) -> Counts:
        """What was run and answered so far."""
        counts = merged(self._slots)
        counts.merge(self._split_counts)
        return counts

    def seconds_since(self, moment: float) -> float:
        """Seconds since a moment on the batcher's clock."""
        return self._clock() - moment

    def prioritize(self, default: int) -> None:
        """From now on, take first who is most urgent: waiters may have a ``priority``, others have ``default``."""
        with self._lock:
            if isinstance(self._queue, deque):
                self._queue = PriorityLine(self._queue, default)

    def submit(self, inputs: tuple[Array, ...], waiter: Submitter, reply: Reply) -> int:
        """Put a request into the queue; ``reply`` is called exactly once, by whoever leads. Call lead() afterwards.

        Returns in how many runs the request will be answered: as many threads may lead at once to some use.
        Raises TooLarge, or QueueFull where more is waiting than the queue takes or than can be run before the deadline
        and the submitter cannot wait for that to change; then ``reply`` is not called.
        """
        rows = len(inputs[0]) if self._batched else 1
        limits = self.limits
        if rows > limits.max_request_rows:
            with self._lock:
                self.statistics.refused += 1
                self.statistics.too_large += 1
            raise TooLarge(
                f"the request has {rows} rows, but one request may have {limits.max_request_rows}; send it in parts"
            )
        key = tuple(a.shape[1:] for a in inputs) if self._batched else None
        came = self._clock()
        while True:
            done = self._enqueue(inputs, rows, key, waiter, reply)
            if isinstance(done, int):
                return done
            if not waiter.await_room():
                with self._lock:
                    self.statistics.refused += 1
                raise done
            if waiter.deadline <= self._clock():
                with self._lock:
                    self.statistics.requests += 1
                    self.statistics.rows += rows
                    self.statistics.failed(error := DeadlineExceeded(_TOO_LATE), self._clock() - came)
                reply(error)
                return 1

    def _enqueue(
        self, inputs: tuple[Array, ...], rows: int, key: object, waiter: Submitter, reply: Reply
    ) -> int | QueueFull:
        """See submit(); or why there is no room for the request."""
        limits, now = self.limits, self._clock()
        runs = self._runs(rows) if rows > self._undivided and self._batched else 1
        if runs > 1:
            parts = self._split(inputs, rows, runs, key, waiter, reply, now)
        else:
            parts = (Part(inputs, rows, key, waiter, reply, now),)
        with self._lock:
            # An empty queue takes any request: a lone one is never refused for what others have cost.
            before = self._waiting_rows
            if before and (full := self._full(rows, waiter.deadline - now)) is not None:
                return full
            for part in parts:
                part.before = before
                before += part.rows
            self._queue.extend(parts)
            self._waiting_rows += rows
            self.statistics.requests += 1
            self.statistics.rows += rows
            if limits.max_queue_delay:
                self._arrival.notify_all()
        return len(parts)

    def _runs(self, rows: int) -> int:
        """In how many runs a request is best answered. Read without the lock: no more than an estimate is needed."""
        runs = -(-rows // self.limits.max_batch_size)
        # A request that finds instances idle, on processors of their own, is answered sooner by all of them.
        if self._spread and not self._queue and self._pace.run_seconds(rows) > WORTH_SPREADING:
            runs = max(runs, min(len(self._idle), rows // FAIR_SHARE))
        return runs

    def _full(self, rows: int, time_left: float) -> QueueFull | None:
        """Why the request would not be taken, or not be run in time, if so. Called under the lock."""
        limits, waiting = self.limits, self._waiting_rows
        # Where some are more urgent than others, there is no telling how much is before this one.
        wait = self._pace.wait(waiting) if isinstance(self._queue, deque) else 0.0
        if waiting + rows > limits.max_queue_size:
            why = f"the queue takes {limits.max_queue_size}"
        elif wait > CERTAIN * (time_left - self._pace.run):
            why = f"take about {wait * 1e3:.0f} ms, but the deadline is in {time_left * 1e3:.0f} ms"
        elif limits.max_queue_time and wait > limits.max_queue_time:
            why = (
                f"take about {wait * 1e3:.0f} ms, but nothing may wait for more than {limits.max_queue_time * 1e3:g} ms"
            )
        else:
            return None
        return QueueFull(
            f"{waiting} rows are waiting and {why}: the server is overloaded; try again later or send less at a time",
            # Of a wait that is not known no hint is given: "at once" would be taken at its word.
            wait or None,
        )

    def submit_alone(self, inputs: tuple[Array, ...], reply: Reply) -> None:
        """Queue rows that nobody shares a batch with, even where the queue is full. Call lead() afterwards.

        They are a look at the model, and no request: only their run is counted.
        """
        rows = len(inputs[0]) if self._batched else 1
        part = Part(inputs, rows, object(), Nobody(), reply, self._clock(), whole=False)
        with self._lock:
            self._queue.extend((part,))
            self._waiting_rows += rows
            if self.limits.max_queue_delay:
                self._arrival.notify_all()

    def _split(
        self, inputs: tuple[Array, ...], rows: int, runs: int, key: object, waiter: Waiter, reply: Reply, now: float
    ) -> tuple[Part, ...]:
        # A device is at its best with full batches; what waits for company is complete with one.
        size = -(-rows // runs) if self._spread else self.limits.max_batch_size
        gather = Gather(-(-rows // size), waiter, self._counted(reply, now))
        return tuple(
            Part(
                tuple(a[start : start + size] for a in inputs),
                min(size, rows - start),
                key,
                gather,
                gather.reply_for(index),
                now,
                whole=False,
            )
            for index, start in enumerate(range(0, rows, size))
        )

    def _counted(self, reply: Reply, submitted: float) -> Reply:
        """A reply to a split request, which counts as one: when it is answered."""

        def counted(result: Answer | ServerError) -> None:
            seconds = self._clock() - submitted
            with self._lock:
                if isinstance(result, Answer):
                    self._split_counts.answered(result.queue_seconds, result.inference_seconds, seconds)
                else:
                    self.statistics.failed(result, seconds)
            reply(result)

        return counted

    def lead(self, batches: int | None = None) -> bool:
        """Take a run slot, if one is free, and run batches until the queue is empty or ``batches`` have been run.

        Returns True only when it stopped because of ``batches`` and rows are still waiting: then the caller sees to
        it that somebody leads again.
        """
        with self._lock:
            # Who waits for company takes what has come: a second one waiting would only keep a thread from reading.
            if not self._queue or not self._idle or self._awaiting_company:
                return False
            instance, slot = self._idle.pop()
        try:
            return self._lead(instance, slot, batches)
        except Exception:
            # Whatever it was: a slot that is not given back is lost, and with the last one the model answers nobody.
            with self._lock:
                self._idle.append((instance, slot))
            raise

    def _lead(self, instance: Instance, slot: SlotStatistics, batches: int | None) -> bool:
        """See lead(). Gives the slot back unless it raises."""
        done = 0
        while True:
            with self._lock:
                stop = batches is not None and done >= batches
                if self.limits.max_queue_delay and self._batched and not stop:
                    stop = not self._await_company()
                batch, dropped = ([], []) if stop else self._take()
                if not batch:
                    more = bool(self._queue)
                    self._idle.append((instance, slot))
            for part, error in dropped:
                _deliver(part, error)
            if not batch:
                return stop and more
            self._run(instance, slot, batch)
            done += 1

    def _await_company(self) -> bool:
        """Wait until a batch is full or its first request has waited enough. False where another leader does so."""
        if self._awaiting_company:
            return False
        limits = self.limits
        self._awaiting_company = True
        try:
            while self._queue and self._waiting_rows < limits.max_batch_size:
                left = self._queue[0].submitted + limits.max_queue_delay - self._clock()
                if left <= 0:
                    break
                self._wait(self._arrival, left)
        finally:
            self._awaiting_company = False
        return True

    def _take(self) -> tuple[list[Part], list[tuple[Part, ServerError]]]:
        """The next batch from the head of the queue, and whom it is too late for. Called under the lock."""
        batch: list[Part] = []
        dropped: list[tuple[Part, ServerError]] = []
        now, rows, queue, most_wait = self._clock(), 0, self._queue, self.limits.max_queue_time
        # What waits is shared between the instances, as long as each has enough to be worth a run.
        share = max(FAIR_SHARE, -(-self._waiting_rows // self._instances))
        most = min(self.limits.max_batch_size, share)
        while queue:
            part = queue[0]
            if part.waiter.abandoned():
                dropped.append((part, Cancelled("the caller cancelled before the request was run")))
            elif part.waiter.deadline <= now:
                dropped.append((part, DeadlineExceeded(_TOO_LATE)))
            elif most_wait and now - part.submitted > most_wait and not part.begun:
                dropped.append(
                    (part, WaitedTooLong(f"the request waited for {most_wait:g} s, and nothing may wait for longer"))
                )
            elif batch and (not self._batched or part.key != batch[0].key or rows + part.rows > most):
                break
            else:
                batch.append(part)
                rows += part.rows
                if not part.whole:
                    part.begin()
            queue.popleft()
            self._waiting_rows -= part.rows
        for part, error in dropped:
            # A split request counts once, when it is answered; a look at the model, not at all.
            if part.whole:
                self.statistics.failed(error, now - part.submitted)
        if batch:
            self.statistics.batches += 1
            self.statistics.batched_rows += rows
        return batch, dropped

    def _run(self, instance: Instance, slot: SlotStatistics, batch: list[Part]) -> None:
        started = self._clock()
        size = batch[0].rows if len(batch) == 1 else sum(part.rows for part in batch)
        try:
            outputs = instance.run([part.inputs for part in batch])
            if self._batched:
                _check_rows(outputs, size)
        except Exception:
            log.exception("a run of %d rows failed", size)
            if len(batch) > 1 and not self.vitals.failing:
                # One of them may be what it failed on. By itself it fails alone, and the others are answered.
                for part in batch:
                    self._run(instance, slot, [part])
            else:
                self._fail(batch)
            return
        finished = self._clock()
        if self._failed_in_a_row:
            self._failed_in_a_row = 0
            self.vitals.worked()
        seconds = finished - started
        slot.ran(batch, started, instance.gathering_seconds, finished)
        if len(batch) == 1:
            _deliver(batch[0], Answer(tuple(outputs), started - batch[0].submitted, seconds, started, size))
        else:
            at = 0
            for part in batch:
                rows = tuple(o[at : at + part.rows] for o in outputs)
                at += part.rows
                _deliver(part, Answer(rows, started - part.submitted, seconds, started, size))
        delivered = self._clock()
        last = batch[-1]
        self._pace.ran(size, delivered - started, last.before, started - last.submitted)
        slot.delivered(batch, size, finished, delivered)

    def _fail(self, batch: list[Part]) -> None:
        now = self._clock()
        with self._lock:
            self._failed_in_a_row += 1
            in_a_row = self._failed_in_a_row
            self.statistics.failed_batches += 1
            self.statistics.failed_requests += sum(part.whole for part in batch)
            self.statistics.failed_seconds += sum(now - part.submitted for part in batch if part.whole)
        for part in batch:
            _deliver(part, InferenceFailed("the model failed on this request; the server's log says why"))
        self.vitals.failed(self, in_a_row)


def _check_rows(outputs: Sequence[Array], rows: int) -> None:
    """Raise where an output has not one row for each that was run: there is no telling whose they are."""
    got = [len(o) if o.ndim else None for o in outputs]
    if any(n != rows for n in got):
        raise ValueError(f"{rows} rows were run, but the outputs have {got}")


def _deliver(part: Part, result: Answer | ServerError) -> None:
    # A reply that raises is a bug, and no reason to leave its batch-mates without theirs.
    try:
        part.reply(result)
    except Exception:
        log.exception("a reply failed")

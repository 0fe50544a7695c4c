"""What a batcher counts is exact: with a clock that only the test moves."""

from __future__ import annotations

from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.errors import DeadlineExceeded
from support.batching import Caller, Doubling, rows, send


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def test_everybody_in_a_batch_has_its_durations_and_their_own_wait() -> None:
    clock = Clock()
    instance = Doubling(during=lambda: clock.pass_by(0.5))
    instance.gathering_seconds = 0.125
    batcher = Batcher([instance], Limits(), clock=clock)

    def slow(result: object) -> None:
        clock.pass_by(0.25)

    for wait in (2.0, 1.0):
        batcher.submit(rows(1, 2), Caller(), slow)
        clock.pass_by(wait)
    batcher.lead()
    counts = batcher.counts
    assert (counts.rows, counts.last) == (4, 103.0)
    assert counts.queueing == 3.0 + 1.0
    assert counts.requests.count == 2
    assert counts.requests.gathering == 2 * 0.125
    assert counts.requests.running == 2 * (0.5 - 0.125)
    assert counts.requests.delivering == 2 * 0.5
    (durations,) = counts.batches.values()
    assert list(counts.batches) == [4]
    assert (durations.count, durations.running, durations.delivering) == (1, 0.375, 0.5)


def test_who_is_dropped_is_a_failure_with_the_time_it_waited() -> None:
    clock = Clock()
    batcher = Batcher([Doubling()], Limits(), clock=clock)
    late = send(batcher, rows(1), Caller(deadline=101.0))
    gone = send(batcher, rows(1))
    gone.left = True
    clock.pass_by(2.0)
    batcher.lead()
    assert isinstance(late.result, DeadlineExceeded)
    statistics = batcher.statistics
    assert (statistics.failed_requests, statistics.failed_seconds) == (2, 4.0)
    assert (batcher.counts.rows, batcher.counts.requests.count) == (0, 0)


def test_a_split_request_is_one_request() -> None:
    clock = Clock()
    batcher = Batcher([Doubling(during=lambda: clock.pass_by(1.0))], Limits(max_batch_size=2), clock=clock)
    caller = send(batcher, rows(1, 2, 3, 4, 5))
    batcher.lead()
    assert caller.rows == [2, 4, 6, 8, 10]
    assert {size: d.count for size, d in batcher.counts.batches.items()} == {2: 2, 1: 1}
    counts = batcher.counts
    assert (counts.rows, counts.requests.count, counts.requests.running, counts.queueing) == (5, 1, 3.0, 0.0)
    times = (counts.queue_times, counts.run_times, counts.total_times)
    assert [(sum(t.counts), t.seconds) for t in times] == [(1, 0.0), (1, 3.0), (1, 3.0)]


def test_a_split_request_that_is_dropped_is_one_that_expired_and_nobody_who_cancelled() -> None:
    now = [0.0]
    batcher = Batcher([Doubling()], Limits(max_batch_size=2), clock=lambda: now[0])
    caller = send(batcher, rows(*range(10)), Caller(deadline=1.0))
    now[0] = 2.0
    batcher.lead()
    assert isinstance(caller.result, DeadlineExceeded)
    told = batcher.statistics
    assert (told.expired, told.cancelled, told.failed_requests) == (1, 0, 1)

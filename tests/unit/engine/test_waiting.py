"""How long a request may wait: refused at once where it would be too long, dropped where it was."""

from __future__ import annotations

import threading

import pytest
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.pace import Pace
from convserve_server.errors import DeadlineExceeded, QueueFull, WaitedTooLong
from support.batching import Caller, Doubling, rows, send


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def busy_batcher(clock: Clock, **limits: float) -> Batcher:
    """A batcher whose runs take 0.1 s a row, as it has seen in one."""
    instance = Doubling(during=lambda: clock.pass_by(0.1 * instance.batches[-1][0]))
    batcher = Batcher([instance], Limits(**limits), clock=clock)  # type: ignore[arg-type]
    send(batcher, rows(1, 2))
    batcher.lead()
    return batcher


def test_who_could_not_be_answered_in_time_is_refused_at_once_with_a_hint() -> None:
    clock = Clock()
    batcher = busy_batcher(clock)
    for _ in range(5):
        send(batcher, rows(1))
    with pytest.raises(QueueFull, match="5 rows are waiting and take about 500 ms, but the deadline is in 600 ms") as e:
        send(batcher, rows(1), Caller(deadline=clock.now + 0.6))
    assert e.value.retry_after == pytest.approx(0.5)
    # 0.5 s until its turn are two thirds of what is left before a run of 0.2 s: the estimate may err by half.
    with pytest.raises(QueueFull, match="the deadline is in 940 ms"):
        send(batcher, rows(1), Caller(deadline=clock.now + 0.94))
    send(batcher, rows(1), Caller(deadline=clock.now + 0.96))
    assert batcher.statistics.refused == 2
    assert batcher.waiting_rows == 6


def test_a_lone_request_is_run_whatever_its_deadline_as_only_a_run_can_tell_how_long_it_takes() -> None:
    clock = Clock()
    batcher = busy_batcher(clock)
    caller = send(batcher, rows(1), Caller(deadline=clock.now + 0.01))
    batcher.lead()
    assert caller.rows == [2.0]


def test_who_waited_for_room_until_the_deadline_hears_of_that() -> None:
    clock = Clock()
    batcher = busy_batcher(clock, max_queue_size=5)
    send(batcher, rows(*range(5)))
    late = Caller(deadline=clock.now + 1.0)
    late.rooms = [lambda: clock.pass_by(2.0), lambda: pytest.fail("nobody waits any more")]
    assert send(batcher, rows(1), late) is late
    assert isinstance(late.result, DeadlineExceeded)
    statistics = batcher.statistics
    assert (statistics.refused, statistics.expired, statistics.failed_seconds) == (0, 1, 2.0)
    assert batcher.waiting_rows == 5


def test_a_large_request_is_no_sign_of_strain() -> None:
    """Its later parts wait for the earlier ones. Taken for strain, that had others refused for their deadlines."""
    clock = Clock()
    batcher = busy_batcher(clock, max_batch_size=2)
    send(batcher, rows(*range(40)))
    batcher.lead()
    for _ in range(5):
        send(batcher, rows(1))
    with pytest.raises(QueueFull, match="5 rows are waiting and take about 500 ms"):
        send(batcher, rows(1), Caller(deadline=clock.now + 0.6))


def test_no_part_of_a_request_that_is_being_run_has_waited_too_long() -> None:
    clock = Clock()

    def run_another() -> None:
        clock.pass_by(1.0)
        if not second.batches:
            # The other instance comes for the rest while this one runs.
            batcher.lead()

    first, second = Doubling(run_another), Doubling()
    batcher = Batcher([second, first], Limits(max_batch_size=2, max_queue_time=0.5), clock=clock)
    caller = send(batcher, rows(1, 2, 3, 4))
    batcher.lead()
    assert caller.rows == [2, 4, 6, 8]
    assert second.batches == [[2]]


def test_without_a_deadline_only_the_length_of_the_queue_counts() -> None:
    batcher = busy_batcher(Clock(), max_queue_size=50)
    callers = [send(batcher, rows(1)) for _ in range(50)]
    with pytest.raises(QueueFull, match="50 rows are waiting and the queue takes 50") as caught:
        send(batcher, rows(1))
    assert caught.value.retry_after == pytest.approx(5.0)
    batcher.lead()
    assert all(c.rows for c in callers)


def test_nothing_is_queued_that_would_wait_for_longer_than_anything_may() -> None:
    batcher = busy_batcher(Clock(), max_queue_time=0.25)
    for _ in range(3):
        send(batcher, rows(1))
    with pytest.raises(QueueFull, match="take about 300 ms, but nothing may wait for more than 250 ms"):
        send(batcher, rows(1))


def test_who_has_waited_for_too_long_is_dropped_before_a_run_and_counted() -> None:
    clock = Clock()
    instance = Doubling()
    batcher = Batcher([instance], Limits(max_queue_time=2.0), clock=clock)
    late = send(batcher, rows(1))
    clock.pass_by(1.5)
    fresh = send(batcher, rows(2))
    clock.pass_by(1.0)
    batcher.lead()
    assert isinstance(late.result, WaitedTooLong)
    assert str(late.result) == "the request waited for 2 s, and nothing may wait for longer"
    assert fresh.rows == [4.0]
    assert instance.batches == [[1]]
    assert (batcher.statistics.waited, batcher.statistics.failed_requests) == (1, 1)


def test_a_large_request_that_has_begun_is_finished_however_long_it_takes() -> None:
    clock = Clock()
    batcher = Batcher([Doubling(lambda: clock.pass_by(1.5))], Limits(max_queue_time=2.0, max_batch_size=1), clock=clock)
    caller = send(batcher, rows(1, 2, 3, 4))
    batcher.lead()
    assert caller.rows == [2.0, 4.0, 6.0, 8.0]


def test_where_some_are_more_urgent_nobody_is_refused_for_what_waits_behind_him() -> None:
    clock = Clock()
    batcher = busy_batcher(clock)
    batcher.prioritize(5)
    for _ in range(5):
        send(batcher, rows(1))
    send(batcher, rows(1), Caller(deadline=clock.now + 0.3))
    assert batcher.waiting_rows == 6


def test_one_leader_waits_for_company_and_the_others_go_on() -> None:
    """Two that wait would keep two threads from bringing the company that they wait for."""
    clock = Clock()
    others: list[bool] = []

    def wait(condition: threading.Condition, seconds: float) -> None:
        condition.release()
        others.append(batcher.lead(1))
        condition.acquire()
        clock.pass_by(seconds)

    batcher = Batcher([Doubling(), Doubling()], Limits(max_queue_delay=0.01), clock=clock, wait=wait)
    caller = send(batcher, rows(1))
    batcher.lead(1)
    assert others == [False]
    assert caller.rows == [2.0]


def test_the_pace_follows_what_runs_take_and_is_shared_by_the_instances() -> None:
    pace = Pace(2)
    assert pace.wait(100) == 0
    pace.ran(10, 1.0, 0, 0.0)
    assert pace.wait(100) == pytest.approx(5.0)
    for _ in range(50):
        pace.ran(10, 2.0, 0, 0.0)
    assert pace.wait(100) == pytest.approx(10.0, rel=0.02)
    assert pace.run == pytest.approx(2.0, rel=0.02)


def test_where_requests_wait_longer_than_runs_explain_the_estimate_learns_it_and_forgets_it_again() -> None:
    pace = Pace(1)
    for _ in range(60):
        pace.ran(1, 0.1, 9, 3.0)  # nine rows before it and one run under way explain one second
    assert pace.wait(10) == pytest.approx(3.0, rel=0.02)
    for _ in range(60):
        pace.ran(1, 0.1, 0, 0.0)
    assert pace.wait(10) == pytest.approx(1.0, rel=0.02)


def test_a_server_that_was_stopped_for_an_hour_does_not_believe_that_waits_take_hours() -> None:
    pace = Pace(1)
    pace.ran(1, 0.1, 0, 0.0)
    pace.ran(1, 0.1, 1, 3600.0)
    assert pace.wait(1) < 0.2


def test_where_the_wait_is_not_known_no_hint_of_it_is_given() -> None:
    """It would be 1 ms, at which callers would try again."""
    batcher = Batcher([Doubling()], Limits(max_queue_size=2))
    send(batcher, rows(1, 2))
    with pytest.raises(QueueFull) as caught:
        send(batcher, rows(3))
    assert caught.value.retry_after is None

"""Closed loop and fixed rate against a server and a clock that the test holds."""

from __future__ import annotations

import pytest
from convserve_client.bench.load import Connection, Window, due_times, send_at_rate
from support.bench_fakes import Clock, Server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def connection(server: Server, clock: Clock, window: Window, reply_bytes: int | None = None) -> Connection:
    return Connection(server.send, window, reply_bytes=reply_bytes, clock=clock)


def test_a_closed_loop_keeps_so_many_calls_in_flight_until_the_window_ends(server: Server, clock: Clock) -> None:
    loop = connection(server, clock, Window(begin=100.0, end=100.35))
    loop.keep_busy(3)
    while server.waiting:
        assert len(server.waiting) == 3
        clock.sleep(0.1)
        server.answer_all()
    assert server.calls == 12  # sent at 100.0, .1, .2 and .3
    assert loop.in_flight == 0
    assert loop.tally.latency.count == 12
    assert loop.tally.latency.percentile(0.5) == pytest.approx(0.1, rel=0.01)


def test_a_closed_loop_ends_after_its_requests_and_warm_up_is_free(server: Server, clock: Clock) -> None:
    loop = connection(server, clock, Window(begin=101.0, end=200.0, requests=5))
    loop.keep_busy(2)
    while server.waiting:
        clock.sleep(0.25)
        server.answer_all()
    assert loop.tally.latency.count == 5
    assert server.calls == 8 + 5  # two each at 100, .25, .5 and .75 warm up


def test_fewer_requests_than_calls_in_flight_are_not_exceeded(server: Server, clock: Clock) -> None:
    loop = connection(server, clock, Window(begin=100.0, end=200.0, requests=2))
    loop.keep_busy(8)
    server.answer_all()
    assert server.calls == loop.tally.latency.count == 2


def test_failures_are_counted_by_status_and_stay_out_of_the_latencies(server: Server, clock: Clock) -> None:
    loop = connection(server, clock, Window(begin=100.0, end=100.15))
    loop.keep_busy(2)
    clock.sleep(0.1)
    server.answer_all("RESOURCE_EXHAUSTED")
    clock.sleep(0.1)
    server.answer_all()
    assert loop.tally.errors == {"RESOURCE_EXHAUSTED": 2}
    assert loop.tally.latency.count == 2


def test_a_reply_of_another_size_is_an_error_where_the_size_is_known(server: Server, clock: Clock) -> None:
    loop = connection(server, clock, Window(begin=100.0, end=100.05), reply_bytes=5)
    loop.keep_busy(2)
    clock.sleep(0.1)
    server.waiting[0].finish(payload=b"short")
    server.waiting[1].finish(payload=b"too long")
    assert loop.tally.errors == {"WRONG_SIZE": 1}
    assert loop.tally.latency.count == 1


def test_a_fixed_rate_sends_when_due_over_the_connections_in_turn(server: Server, clock: Clock) -> None:
    sent: list[float] = []
    window = Window(begin=100.0, end=101.0)
    connections = [connection(server, clock, window) for _ in range(2)]

    def note_and_answer(seconds: float) -> None:
        sent.append(clock.now)
        server.answer_all()

    clock.on_sleep = note_and_answer
    times = due_times(window, start=100.0, rate=10, number=0, processes=1)
    send_at_rate(connections, times, most_in_flight=100, clock=clock, sleep=clock.sleep)
    server.answer_all()
    assert sent == pytest.approx([100.0 + n / 10 for n in range(1, 10)])
    assert [c.tally.latency.count for c in connections] == [5, 5]


def test_a_stall_is_charged_to_every_call_that_was_due_in_it(server: Server, clock: Clock) -> None:
    """No coordinated omission: calls that wait to be sent count from when they were due."""
    window = Window(begin=100.0, end=101.0)
    stalled = connection(server, clock, window)

    def stall_until_102(seconds: float) -> None:
        if clock.now >= 102.0:
            server.answer_all()

    clock.on_sleep = stall_until_102
    times = due_times(window, start=100.0, rate=10, number=0, processes=1)
    send_at_rate([stalled], times, most_in_flight=1, clock=clock, sleep=clock.sleep)
    server.answer_all()
    latency = stalled.tally.latency
    assert latency.count == 10
    # A loop that only sends when it may would have seen one slow call of 2 s and nine fast ones.
    assert latency.percentile(0.5) == pytest.approx(1.5, abs=0.05)
    assert latency.longest == pytest.approx(2.0, abs=0.05)
    assert stalled.tally.lag.longest == pytest.approx(1.9, abs=0.05)


def test_a_fixed_rate_ends_at_its_end_and_counts_what_was_not_sent(server: Server, clock: Clock) -> None:
    """A server that answers nothing holds the run up until the end and no longer."""
    stalled = connection(server, clock, Window(begin=100.0, end=101.0))
    times = due_times(Window(begin=100.0, end=101.0), start=100.0, rate=1000, number=0, processes=1)
    send_at_rate([stalled], times, most_in_flight=4, end=101.1, clock=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(101.1, abs=0.01)
    assert server.calls == 4
    assert stalled.tally.not_sent == 996


def test_processes_share_a_rate_evenly_interleaved() -> None:
    window = Window(begin=0.0, end=1.0)
    shares = [list(due_times(window, start=0.0, rate=12, number=n, processes=3)) for n in range(3)]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert sorted(due for share in shares for due in share) == pytest.approx([n / 12 for n in range(12)])


def test_a_fixed_rate_ends_after_its_requests_not_counting_warm_up() -> None:
    times = list(due_times(Window(begin=1.0, end=100.0, requests=3), start=0.0, rate=2, number=0, processes=1))
    assert times == [0.0, 0.5, 1.0, 1.5, 2.0]

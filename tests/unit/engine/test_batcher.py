"""The rules of the batcher, each on its own, without sleeping."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.model import Answer, Array
from convserve_server.engine.vitals import Vitals
from convserve_server.errors import (
    Cancelled,
    DeadlineExceeded,
    InferenceFailed,
    QueueFull,
    ServerError,
    TooLarge,
)
from hypothesis import given
from hypothesis import strategies as st
from support.batching import Caller, Doubling, rows, send


def test_a_lone_request_runs_at_once_in_the_thread_that_leads() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits())
    caller = send(batcher, rows(1, 2))
    assert caller.results == []
    assert batcher.lead() is False
    assert caller.rows == [2, 4]
    assert instance.batches == [[2]]


def test_what_waits_is_run_together_and_everyone_gets_their_own_rows() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits())
    callers = [send(batcher, rows(*range(n))) for n in (1, 2, 3)]
    batcher.lead()
    assert instance.batches == [[1, 2, 3]]
    assert [c.rows for c in callers] == [[0], [0, 2], [0, 2, 4]]


def test_without_a_free_slot_a_submitter_leaves_and_the_leader_takes_its_rows_next() -> None:
    late = Caller()

    def during() -> None:
        if len(instance.batches) == 1:
            send(batcher, rows(5), late)
            assert batcher.lead() is False, "the only slot is taken"
            assert late.results == []

    instance = Doubling(during)
    batcher = Batcher([instance], Limits())
    first = send(batcher, rows(1))
    batcher.lead()
    assert first.rows == [2]
    assert late.rows == [10]
    assert instance.batches == [[1], [1]]


def test_a_leader_of_one_batch_says_that_rows_are_left() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits(max_batch_size=1))
    callers = [send(batcher, rows(n)) for n in (1, 2)]
    assert batcher.lead(1) is True
    assert [len(c.results) for c in callers] == [1, 0]
    assert batcher.lead(1) is False
    assert callers[1].rows == [4]


def test_rows_are_counted_not_requests_and_what_does_not_fit_stays_first_in_line() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits(max_batch_size=4))
    for n in (3, 2, 1, 4):
        send(batcher, rows(*range(n)))
    batcher.lead()
    assert instance.batches == [[3], [2, 1], [4]], "the request of one row does not overtake that of two"


def test_only_requests_of_one_shape_share_a_batch() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits())
    wide = (np.zeros((1, 7), np.float32),)
    for inputs in (rows(1), rows(2), wide, rows(3)):
        send(batcher, inputs)
    batcher.lead()
    assert instance.batches == [[1, 1], [1], [1]]


def test_a_request_larger_than_a_batch_is_split_and_answered_as_one() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits(max_batch_size=4))
    caller = send(batcher, rows(*range(10)))
    batcher.lead()
    assert instance.batches == [[4], [4], [2]]
    assert caller.rows == [2 * n for n in range(10)]


def test_a_split_request_that_fails_in_one_part_fails_once_and_its_other_parts_are_not_run() -> None:
    def during() -> None:
        if len(instance.batches) == 2:
            raise RuntimeError("boom")

    instance = Doubling(during)
    batcher = Batcher([instance], Limits(max_batch_size=2))
    caller = send(batcher, rows(*range(8)))
    other = send(batcher, rows(1))
    batcher.lead()
    assert isinstance(caller.result, InferenceFailed)
    assert instance.batches == [[2], [2], [1]]
    assert other.rows == [2]


def test_a_model_without_a_batch_axis_runs_each_request_alone() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits(max_batch_size=4), batched=False)
    callers = [send(batcher, (np.ones((n, 2)),)) for n in (9, 9)]
    batcher.lead()
    assert instance.batches == [[9], [9]]
    assert all(isinstance(c.result, Answer) for c in callers)


def test_a_full_queue_refuses_at_once_and_an_empty_one_takes_any_request() -> None:
    batcher = Batcher([Doubling()], Limits(max_queue_size=3, max_batch_size=4))
    first = send(batcher, rows(1, 2, 3, 4))
    with pytest.raises(QueueFull, match="4 rows are waiting and the queue takes 3"):
        send(batcher, rows(1))
    batcher.lead()
    assert first.rows == [2, 4, 6, 8]
    assert batcher.waiting_rows == 0
    send(batcher, rows(1))
    assert batcher.statistics.refused == 1


def test_who_can_wait_for_room_is_taken_when_there_is_some_and_nobody_was_refused() -> None:
    batcher = Batcher([Doubling()], Limits(max_queue_size=3))
    send(batcher, rows(1, 2))
    patient = Caller()
    patient.rooms = [lambda: None, batcher.lead]
    send(batcher, rows(3, 4), patient)
    assert patient.rooms == []
    assert batcher.statistics.refused == 0
    batcher.lead()
    assert patient.rows == [6, 8]


def test_who_has_waited_for_room_in_vain_is_refused_once() -> None:
    batcher = Batcher([Doubling()], Limits(max_queue_size=3))
    send(batcher, rows(1, 2))
    patient = Caller()
    patient.rooms = [lambda: None] * 2
    with pytest.raises(QueueFull, match="2 rows are waiting and the queue takes 3"):
        send(batcher, rows(3, 4), patient)
    assert patient.results == []
    assert batcher.statistics.refused == 1


def test_a_request_over_the_row_limit_is_refused() -> None:
    batcher = Batcher([Doubling()], Limits(max_request_rows=3))
    with pytest.raises(TooLarge, match="has 4 rows, but one request may have 3"):
        send(batcher, rows(1, 2, 3, 4))


def test_a_client_that_cancels_in_a_batch_harms_nobody_else_of_it() -> None:
    instance = Doubling()
    batcher = Batcher([instance], Limits())
    before, leaver, after = (send(batcher, rows(n)) for n in (1, 2, 3))
    leaver.left = True
    batcher.lead()
    assert isinstance(leaver.result, Cancelled)
    assert (before.rows, after.rows) == ([2], [6])
    assert instance.batches == [[1, 1]], "its rows were dropped before they cost a run"
    assert batcher.statistics.cancelled == 1


def test_a_client_that_cancels_during_the_run_harms_nobody_else_of_its_batch() -> None:
    leaver = Caller()

    def leave() -> None:
        leaver.left = True

    batcher = Batcher([Doubling(leave)], Limits())
    before = send(batcher, rows(1))
    send(batcher, rows(2), leaver)
    after = send(batcher, rows(3))
    batcher.lead()
    assert (before.rows, after.rows) == ([2], [6])


def test_who_is_past_the_deadline_is_dropped_before_a_run_and_counted() -> None:
    now = 100.0
    instance = Doubling()
    batcher = Batcher([instance], Limits(), clock=lambda: now)
    late = send(batcher, rows(1), Caller(deadline=101.0))
    on_time = send(batcher, rows(2), Caller(deadline=103.0))
    now = 102.0
    batcher.lead()
    assert isinstance(late.result, DeadlineExceeded)
    assert on_time.rows == [4]
    assert batcher.statistics.expired == 1


def test_a_request_that_makes_its_batch_fail_harms_nobody_else_in_it(caplog: pytest.LogCaptureFixture) -> None:
    class Picky(Doubling):
        def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
            answer = super().run(requests)
            if any((r[0] > 100).any() for r in requests):
                raise RuntimeError("the engine said no")
            return answer

    instance = Picky()
    batcher = Batcher([instance], Limits())
    good, bad, other = (send(batcher, rows(n)) for n in (1, 1000, 2))
    batcher.lead()
    assert good.rows == [2]
    assert other.rows == [4]
    assert isinstance(bad.result, InferenceFailed)
    assert instance.batches == [[1, 1, 1], [1], [1], [1]], "once more, each alone"
    assert batcher.statistics.failed_requests == 1
    assert batcher.counts.requests.count == 2


def test_a_model_that_fails_anyway_is_not_run_again_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    def during() -> None:
        raise RuntimeError("the engine said no")

    instance = Doubling(during)
    batcher = Batcher([instance], Limits())
    while not batcher.vitals.failing:
        send(batcher, rows(1))
        batcher.lead()
    instance.batches.clear()
    callers = [send(batcher, rows(n)) for n in (1, 2, 3)]
    batcher.lead()
    assert instance.batches == [[1, 1, 1]]
    assert all(isinstance(c.result, InferenceFailed) for c in callers)


def test_a_failed_run_fails_its_own_batch_only_and_the_model_serves_on(caplog: pytest.LogCaptureFixture) -> None:
    def during() -> None:
        if len(instance.batches) <= 3:
            raise RuntimeError("the engine said no")

    instance = Doubling(during)
    batcher = Batcher([instance], Limits(max_batch_size=2))
    unlucky = [send(batcher, rows(n)) for n in (1, 2)]
    lucky = send(batcher, rows(3))
    batcher.lead()
    assert all(isinstance(c.result, InferenceFailed) for c in unlucky)
    assert lucky.rows == [6]
    assert "the engine said no" in caplog.text, "the cause is logged"
    assert "the engine said no" not in str(unlucky[0].result), "and kept from callers"


def test_a_reply_that_raises_does_not_keep_its_batch_mates_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    def bad_reply(result: Answer | ServerError) -> None:
        raise ValueError("cannot reply")

    batcher = Batcher([Doubling()], Limits())
    batcher.submit(rows(1), Caller(), bad_reply)
    other = send(batcher, rows(2))
    batcher.lead()
    assert other.rows == [4]
    assert "cannot reply" in caplog.text


def test_the_answer_tells_queue_and_inference_time() -> None:
    now = 10.0

    def advance() -> None:
        nonlocal now
        now += 0.25

    batcher = Batcher([Doubling(advance)], Limits(), clock=lambda: now)
    caller = send(batcher, rows(1))
    now = 12.0
    batcher.lead()
    assert isinstance(caller.result, Answer)
    assert caller.result.queue_seconds == pytest.approx(2.0)
    assert caller.result.inference_seconds == pytest.approx(0.25)


def test_no_delay_is_waited_for_unless_it_was_asked_for() -> None:
    def no_wait(condition: threading.Condition, seconds: float) -> None:
        raise AssertionError("waited")

    batcher = Batcher([Doubling()], Limits(), wait=no_wait)
    caller = send(batcher, rows(1))
    batcher.lead()
    assert caller.rows == [2]


def test_a_batch_that_is_not_full_waits_for_company_as_long_as_it_was_told() -> None:
    now = 0.0
    instance = Doubling()
    waits: list[float] = []

    def wait(condition: threading.Condition, seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        condition.release()
        send(batcher, rows(7))
        condition.acquire()
        now += 0.02

    batcher = Batcher([instance], Limits(max_queue_delay=0.05), clock=lambda: now, wait=wait)
    send(batcher, rows(1))
    batcher.lead()
    assert waits == pytest.approx([0.05, 0.03, 0.01])
    assert instance.batches == [[1, 1, 1, 1]]


def test_a_full_batch_does_not_wait_for_company() -> None:
    def no_wait(condition: threading.Condition, seconds: float) -> None:
        raise AssertionError("waited")

    batcher = Batcher([Doubling()], Limits(max_queue_delay=1.0, max_batch_size=2), wait=no_wait)
    caller = send(batcher, rows(1, 2))
    batcher.lead()
    assert caller.rows == [2, 4]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    leave=st.sets(st.integers(0, 11)),
    most=st.integers(1, 6),
    instances=st.integers(1, 3),
)
def test_everyone_is_answered_exactly_once_with_their_own_rows(
    sizes: list[int], leave: set[int], most: int, instances: int
) -> None:
    batcher = Batcher([Doubling() for _ in range(instances)], Limits(max_batch_size=most))
    callers = []
    for i, size in enumerate(sizes):
        callers.append(send(batcher, rows(*(100 * i + n for n in range(size)))))
        callers[-1].left = i in leave
    while batcher.lead(1):
        pass
    for i, (size, caller) in enumerate(zip(sizes, callers, strict=True)):
        if i in leave:
            assert isinstance(caller.result, Cancelled)
        else:
            assert caller.rows == [2 * (100 * i + n) for n in range(size)]
    assert batcher.waiting_rows == 0


def test_many_threads_lose_and_mix_up_nothing() -> None:
    instances = [Doubling() for _ in range(2)]
    batcher = Batcher(instances, Limits(max_batch_size=8, max_queue_size=10_000))
    callers: dict[int, Caller] = {}

    def work(thread: int) -> None:
        for n in range(200):
            value = 1000 * thread + n
            callers[value] = send(batcher, rows(value))
            batcher.lead()

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert batcher.lead() is False
    assert all(caller.rows == [2 * value] for value, caller in callers.items())
    assert batcher.statistics.rows == 1600
    assert max(sum(b) for i in instances for b in i.batches) <= 8


def test_a_split_request_whose_parts_do_not_join_fails_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    class Uneven(Doubling):
        def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
            (whole,) = super().run(requests)
            return [np.zeros((len(whole), len(self.batches)), np.float32)]

    batcher = Batcher([Uneven()], Limits(max_batch_size=2))
    caller = send(batcher, rows(1, 2, 3))
    batcher.lead()
    assert isinstance(caller.result, InferenceFailed)
    assert "send fewer rows at a time" in str(caller.result)


@pytest.mark.parametrize("output", [np.float32(1), np.zeros((0, 1), np.float32), np.zeros((9, 1), np.float32)])
def test_outputs_without_a_row_for_each_input_fail_the_batch_and_keep_the_slot(
    output: Array, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Doubling):
        def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
            right = super().run(requests)
            return right if len(self.batches) > 3 else [np.asarray(output)]

    batcher = Batcher([Wrong()], Limits())
    callers = [send(batcher, rows(n)) for n in (1, 2)]
    batcher.lead()
    assert all(isinstance(c.result, InferenceFailed) for c in callers)
    after = send(batcher, rows(3))
    batcher.lead()
    assert after.rows == [6]


def test_a_leader_of_one_batch_does_not_wait_for_company_of_the_next() -> None:
    def no_wait(condition: threading.Condition, seconds: float) -> None:
        raise AssertionError("waited")

    batcher = Batcher([Doubling()], Limits(max_queue_delay=1.0, max_batch_size=2), wait=no_wait)
    first = send(batcher, rows(1, 2))
    send(batcher, rows(3))
    assert batcher.lead(1) is True
    assert first.rows == [2, 4]


def test_a_model_without_a_batch_axis_does_not_wait_for_company() -> None:
    def no_wait(condition: threading.Condition, seconds: float) -> None:
        raise AssertionError("waited")

    batcher = Batcher([Doubling()], Limits(max_queue_delay=1.0), batched=False, wait=no_wait)
    caller = send(batcher, rows(1))
    batcher.lead()
    assert caller.rows == [2]


def test_a_slot_is_given_back_whatever_happens_to_who_leads() -> None:
    class Raising(Vitals):
        def failed(self, batcher: object, in_a_row: int) -> None:
            raise MemoryError

    runs: list[int] = []

    class Once(Doubling):
        def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
            runs.append(len(requests))
            if len(runs) == 1:
                raise RuntimeError("no")
            return super().run(requests)

    batcher = Batcher([Once()], Limits(), vitals=Raising("it", None))
    failed = send(batcher, rows(1))
    with pytest.raises(MemoryError):
        batcher.lead()
    assert isinstance(failed.result, InferenceFailed)
    answered = send(batcher, rows(2))
    batcher.lead()
    assert answered.rows == [4]

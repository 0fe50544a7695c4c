"""Who is more urgent goes first, and nobody waits for ever."""

from __future__ import annotations

import numpy as np
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.priority import LEVEL_SECONDS
from support.batching import Caller, Doubling, rows


class Urgent(Caller):
    def __init__(self, priority: int) -> None:
        super().__init__()
        self.priority = priority


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_levels_go_first_in_their_order_and_equal_ones_as_they_came() -> None:
    answered: list[int] = []
    batcher = Batcher([Doubling()], Limits(max_batch_size=1), clock=Clock())
    batcher.prioritize(default=5)
    for n, caller in enumerate([Caller(), Urgent(9), Urgent(1), Urgent(5), Urgent(1)]):
        batcher.submit(rows(1), caller, lambda result, n=n: answered.append(n))  # type: ignore[misc]
    batcher.lead()
    assert answered == [2, 4, 0, 3, 1]


def test_a_request_is_overtaken_only_by_what_comes_within_a_second_for_each_level() -> None:
    clock = Clock()
    answered: list[str] = []
    batcher = Batcher([Doubling()], Limits(max_batch_size=1, max_queue_size=99), clock=clock)
    batcher.prioritize(default=5)

    def submit(name: str, level: int | None = None) -> None:
        waiter = Caller() if level is None else Urgent(level)
        batcher.submit(rows(1), waiter, lambda result: answered.append(name))

    submit("patient", 7)
    submit("plain")
    clock.now += 1.9 * LEVEL_SECONDS
    submit("a bit later, default")
    submit("urgent", 1)
    clock.now += 0.2 * LEVEL_SECONDS
    submit("too late to overtake the patient one", 5)
    submit("last", 5)
    batcher.lead()
    assert answered == [
        "urgent",
        "plain",
        "a bit later, default",
        "patient",
        "too late to overtake the patient one",
        "last",
    ]


def test_what_waits_already_is_ordered_too_when_the_first_urgent_request_comes() -> None:
    answered: list[int] = []
    batcher = Batcher([Doubling()], Limits(max_batch_size=1), clock=Clock())
    for n in range(3):
        batcher.submit(rows(1), Caller(), lambda result, n=n: answered.append(n))  # type: ignore[misc]
    batcher.prioritize(default=5)
    batcher.submit(rows(1), Urgent(1), lambda result: answered.append(9))
    batcher.lead()
    assert answered == [9, 0, 1, 2]


def test_all_parts_of_a_split_request_have_its_priority() -> None:
    answered: list[str] = []
    batcher = Batcher([Doubling()], Limits(max_batch_size=2), clock=Clock())
    batcher.prioritize(default=5)
    batcher.submit(rows(1), Caller(), lambda result: answered.append("plain"))
    batcher.submit((np.ones((5, 1), np.float32),), Urgent(1), lambda result: answered.append("split"))
    batcher.lead()
    assert answered == ["split", "plain"]

"""Joined hands on once: all answers in order, or the first error."""

from __future__ import annotations

import threading

import pytest
from convserve_server.engine.model import Answer
from convserve_server.errors import InferenceFailed, QueueFull, ServerError
from convserve_server.rpc.joining import Joined

Outcome = list[Answer] | ServerError
FIRST, SECOND = Answer((), 1, 1), Answer((), 2, 2)


def joined() -> tuple[Joined, list[Outcome]]:
    outcomes: list[Outcome] = []
    return Joined(2, outcomes.append), outcomes


def test_answers_are_handed_on_in_the_order_of_submission_whatever_order_they_come_in() -> None:
    both, outcomes = joined()
    both.reply(1)(SECOND)
    assert outcomes == []
    both.reply(0)(FIRST)
    assert outcomes == [[FIRST, SECOND]]


@pytest.mark.parametrize("late", [SECOND, QueueFull("late")])
def test_the_first_error_is_handed_on_at_once_and_what_comes_later_is_dropped(late: Answer | ServerError) -> None:
    both, outcomes = joined()
    error = InferenceFailed("no")
    both.reply(0)(error)
    assert outcomes == [error]
    both.reply(1)(late)
    assert outcomes == [error]


def test_threads_that_answer_at_the_same_time_hand_on_once() -> None:
    for _ in range(50):
        both, outcomes = joined()
        start = threading.Barrier(2)

        def answer(index: int, both: Joined = both, start: threading.Barrier = start) -> None:
            start.wait()
            both.reply(index)((FIRST, SECOND)[index])

        threads = [threading.Thread(target=answer, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == [[FIRST, SECOND]]

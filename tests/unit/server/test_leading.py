"""Helpers: as many as are of use are called, each work is done, and nothing is remembered of what is over."""

from __future__ import annotations

import threading

import pytest
from convserve_server.leading import Helpers
from support.transports import wait_until


class Work:
    """Work that waits to be let go on; notes how many batches it was asked for."""

    def __init__(self, more: bool = False) -> None:
        self.asked: list[int | None] = []
        self.free = threading.Event()
        self._more = more

    def __call__(self, batches: int | None) -> bool:
        self.asked.append(batches)
        assert self.free.wait(20)
        return self._more


def test_as_many_lead_as_were_asked_for_each_its_share() -> None:
    helpers, work = Helpers(4, "test"), Work()
    assert helpers.lead(work, 3, batches=5)
    wait_until(lambda: work.asked == [5, 5, 5])
    work.free.set()
    helpers.close()


def test_who_has_been_called_and_has_not_begun_is_not_called_again() -> None:
    """They will find all that waits by then; else each call of a crowd would wake one that finds no run slot."""
    helpers, first, work = Helpers(1, "test"), Work(), Work()
    helpers.lead(first)
    for _ in range(5):
        assert helpers.lead(work, 2)
    first.free.set()
    work.free.set()
    wait_until(lambda: len(work.asked) == 2)
    assert helpers.lead(work)
    wait_until(lambda: len(work.asked) == 3)
    helpers.close()


@pytest.mark.parametrize("more", [True, False])
def test_who_stops_with_rows_waiting_sees_to_it_that_they_are_led(more: bool) -> None:
    helpers, work, done, went_on = Helpers(1, "test"), Work(more), Work(), threading.Event()
    work.free.set()
    helpers.lead(work, batches=1, go_on=went_on.set)
    helpers.lead(done)
    wait_until(lambda: bool(done.asked))
    done.free.set()
    assert went_on.is_set() == more
    helpers.close()


def test_a_leader_that_fails_is_logged_and_the_next_work_is_done(caplog: pytest.LogCaptureFixture) -> None:
    def broken(batches: int | None) -> bool:
        raise ValueError("broken")

    helpers, work = Helpers(1, "test"), Work()
    work.free.set()
    helpers.lead(broken)
    helpers.lead(work)
    wait_until(lambda: bool(work.asked))
    assert "a leader failed" in caplog.text
    helpers.close()


def test_where_no_thread_can_be_had_the_caller_hears_of_it_each_time() -> None:
    helpers, work = Helpers(1, "test"), Work()
    helpers.close()
    assert not helpers.lead(work, 8)
    assert not helpers.lead(work)
    assert work.asked == []


def test_nothing_is_kept_of_work_that_is_over() -> None:
    helpers, work = Helpers(2, "test"), Work()
    work.free.set()
    helpers.lead(work, 2)
    assert helpers.lead(work, 0)
    wait_until(lambda: len(work.asked) == 2)
    assert not helpers._coming
    helpers.close()

"""How rows are dealt out to the instances: none takes all while others have nothing, nor too few to be worth a run."""

from __future__ import annotations

import pytest
from convserve_server.engine.batcher import FAIR_SHARE, WORTH_SPREADING, Batcher, Limits
from support.batching import Caller, Doubling, rows, send


@pytest.mark.parametrize(("waiting", "taken"), [(FAIR_SHARE, FAIR_SHARE), (FAIR_SHARE + 1, FAIR_SHARE), (24, 12)])
def test_what_waits_is_shared_with_the_other_instance(waiting: int, taken: int) -> None:
    first, second = Doubling(), Doubling()
    batcher = Batcher([second, first], Limits())
    for number in range(waiting):
        send(batcher, rows(number))
    batcher.lead(1)
    assert [len(batch) for batch in first.batches] == [taken]


def spreading(seconds_a_row: float = 0.001, instances: int = 2, **limits: float) -> tuple[Batcher, list[Doubling]]:
    """A batcher of idle instances with processors of their own that has seen what a row takes, and the instances."""
    now = [0.0]

    def slot() -> Doubling:
        def run() -> None:
            now[0] += seconds_a_row * made.batches[-1][0]

        made = Doubling(run)
        return made

    slots = [slot() for _ in range(instances)]
    batcher = Batcher(slots, Limits(**limits), spread=True, clock=lambda: now[0])  # type: ignore[arg-type]
    send(batcher, rows(*range(32)))
    batcher.lead()
    return batcher, slots


def parts(batcher: Batcher, count: int) -> list[int]:
    """The rows of each run of a request of so many rows."""
    caller = Caller()
    runs = batcher.submit(rows(*range(count)), caller, caller.results.append)
    sizes: list[int] = []
    waiting = batcher.waiting_rows
    while batcher.lead(1) or waiting != batcher.waiting_rows:
        sizes.append(waiting - batcher.waiting_rows)
        waiting = batcher.waiting_rows
    assert caller.rows == [2 * n for n in range(count)]
    assert runs == len(sizes)
    return sizes


@pytest.mark.parametrize(
    ("instances", "count", "sizes"),
    [
        (2, 15, [15]),
        (2, 16, [8, 8]),
        (2, 32, [16, 16]),
        (2, 33, [17, 16]),
        (3, 16, [8, 8]),
        (3, 32, [11, 11, 10]),
        (2, 100, [25] * 4),
        (1, 32, [32]),
        (1, 33, [17, 16]),
    ],
)
def test_a_request_that_finds_instances_idle_is_spread_over_them_in_equal_parts(
    instances: int, count: int, sizes: list[int]
) -> None:
    batcher, _ = spreading(instances=instances)
    assert parts(batcher, count) == sizes


def test_a_run_that_is_over_sooner_than_another_thread_has_begun_is_not_spread() -> None:
    batcher, _ = spreading(seconds_a_row=WORTH_SPREADING / 33)
    assert parts(batcher, 32) == [32]


def test_the_first_request_is_not_spread_as_nobody_knows_what_it_takes() -> None:
    batcher = Batcher([Doubling(), Doubling()], Limits(), spread=True)
    assert parts(batcher, 32) == [32]


def test_what_waits_for_company_is_not_taken_apart() -> None:
    batcher, _ = spreading(max_queue_delay=0.001)
    assert parts(batcher, 32) == [32]


def test_instances_on_one_device_do_not_share_a_request_that_fits_into_a_run() -> None:
    batcher = Batcher([Doubling(), Doubling()], Limits())
    send(batcher, rows(1))
    batcher.lead()
    assert parts(batcher, 32) == [32]
    assert parts(batcher, 64) == [32, 32]
    assert parts(batcher, 40) == [32, 8]


def test_where_others_wait_already_a_request_is_not_spread() -> None:
    batcher, _ = spreading()
    send(batcher, rows(1))
    caller = Caller()
    assert batcher.submit(rows(*range(32)), caller, caller.results.append) == 1


def test_an_instance_that_runs_has_no_part_in_what_is_spread() -> None:
    later: list[Caller] = []
    batcher, (busy, idle) = spreading()

    def another_comes() -> None:
        if not later:
            later.append(Caller())
            runs.append(batcher.submit(rows(*range(32)), later[0], later[0].results.append))

    runs: list[int] = []
    for slot in (busy, idle):
        slot.during = another_comes
    send(batcher, rows(1))
    batcher.lead()
    assert runs == [1]
    assert later[0].rows == [2 * n for n in range(32)]

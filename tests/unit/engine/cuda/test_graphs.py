"""A graph is used where it is right and faster, and only there."""

from __future__ import annotations

import pytest
from convserve_server.engine.gate import Gate
from convserve_server.engine.graphs import RUNS, GraphsBroken, winning_graphs

from .fakes import FakeProgram


@pytest.mark.parametrize(("seconds", "won"), [(0.5, {1, 2}), (1.0, set()), (2.0, set())])
def test_a_graph_wins_where_it_is_faster(seconds: float, won: set[int]) -> None:
    program = FakeProgram(2, seconds={False: 1.0, True: seconds})
    assert winning_graphs(program, (1, 2), Gate(), program.clock) == won


def test_a_replay_that_does_not_see_new_rows_is_found_out() -> None:
    program = FakeProgram(2, stale=True)
    with pytest.raises(GraphsBroken, match="the graph of batch size 1 computes something else"):
        winning_graphs(program, (1, 2), Gate(), program.clock)


def test_a_capture_that_fails_says_why() -> None:
    program = FakeProgram(2, capture_fails=True)
    with pytest.raises(GraphsBroken, match="cannot be captured: operation not permitted"):
        winning_graphs(program, (1, 2), Gate(), program.clock)


def test_the_staging_is_left_clean() -> None:
    program = FakeProgram(2)
    winning_graphs(program, (1, 2), Gate(), program.clock)
    assert not program.staging[0].any()


def test_both_kinds_are_timed_in_turn() -> None:
    program = FakeProgram(1)
    winning_graphs(program, (1,), Gate(), program.clock)
    assert program.runs[-2 * RUNS :] == [(1, False), (1, True)] * RUNS

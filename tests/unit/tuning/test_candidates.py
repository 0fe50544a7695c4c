"""What --tune tries, and what it calls the best."""

from __future__ import annotations

from typing import Any

import pytest
from convserve_server.tuning.candidates import Candidate, Figures, best, candidates
from convserve_server.tuning.report import table


def figures(rate: float, p95: float = 0.01) -> Figures:
    return Figures(rate=rate, p50=p95 / 2, p95=p95, alone=0.001)


def pairs(*arguments: Any, **options: Any) -> list[tuple[int, int]]:
    return sorted({(c.instances, c.threads) for c in candidates(*arguments, **options)})


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(1, 2), (2, 1)]),
        (6, [(1, 6), (2, 3), (4, 1)]),
        (16, [(1, 16), (2, 8), (4, 4), (8, 2)]),
    ],
)
def test_the_cpus_are_shared_out_between_instances(cpus: int, expected: list[tuple[int, int]]) -> None:
    assert pairs(cpus, 64) == expected


def test_what_the_user_has_set_stays() -> None:
    assert pairs(8, 64, instances=3) == [(3, 2)]
    assert pairs(2, 64, threads=5) == [(1, 5), (2, 5)]
    assert pairs(8, 64, cuda=True, instances=4) == [(4, 1)]


def test_on_cuda_instances_are_sessions_and_not_cpus() -> None:
    assert pairs(2, 64, cuda=True) == [(1, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize(("most", "sizes"), [(64, {8, 32, 64}), (32, {8, 32}), (4, {4})])
def test_batches_are_not_larger_than_set(most: int, sizes: set[int]) -> None:
    assert {c.max_batch_size for c in candidates(1, most)} == sizes


def test_the_highest_rate_wins() -> None:
    slow, fast = Candidate(1, 1, 8), Candidate(2, 1, 8)
    assert best({slow: figures(100), fast: figures(200, p95=0.5)}) == fast


def test_among_those_that_are_as_fast_the_lowest_p95_wins() -> None:
    one, other = Candidate(1, 1, 8), Candidate(2, 1, 8)
    assert best({one: figures(99, p95=0.01), other: figures(100, p95=0.02)}) == one


def test_the_table_has_a_line_for_each_and_marks_the_best() -> None:
    one, other = Candidate(1, 2, 8), Candidate(2, 1, 64)
    lines = table({one: figures(1234.4), other: figures(10)}, one).splitlines()
    assert lines[0].split("  ")[-1] == "alone ms"
    assert lines[1].split() == ["1", "2", "8", "1,234", "5.00", "10.00", "1.00", "<-", "best"]
    assert lines[2].split() == ["2", "1", "64", "10", "5.00", "10.00", "1.00"]

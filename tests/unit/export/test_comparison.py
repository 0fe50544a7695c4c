"""The tolerance between two forms: atol + rtol x the row's largest absolute value, and top-1 where it is clear."""

from __future__ import annotations

import math

import numpy as np
import pytest
from convserve_export.comparison import Tolerance, compare, disagreeing_rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

TOLERANCE = Tolerance(atol=1e-5, rtol=1e-4)
ROWS = arrays.arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6))


@given(ROWS)
def test_equal_rows_differ_by_nothing(rows: np.ndarray) -> None:
    difference = compare(rows, rows, TOLERANCE, batched=True)
    assert difference.within
    assert difference.absolute == difference.used == 0.0


@given(ROWS, st.integers(0, 2), st.integers(0, 3), st.floats(0.01, 0.99))
def test_a_row_may_use_up_its_tolerance_and_no_more(rows: np.ndarray, row: int, column: int, share: float) -> None:
    allowed = 1e-5 + 1e-4 * np.abs(rows[row]).max()
    for factor, within in ((share, True), (1 + share, False)):
        other = rows.copy()
        other[row, column] += factor * allowed
        difference = compare(rows, other, TOLERANCE, batched=True)
        assert difference.within is within
        assert difference.used == pytest.approx(factor, rel=1e-3)
        assert difference.row == row


def test_each_row_has_its_own_tolerance() -> None:
    reference = np.array([[1000.0, 0.0], [1.0, 0.0]])
    shift = np.array([[0.0, 0.05], [0.0, 0.05]])
    difference = compare(reference, reference + shift, TOLERANCE, batched=True)
    assert not difference.within
    assert difference.row == 1


def test_an_output_that_is_not_batched_is_one_row() -> None:
    reference = np.array([[1000.0, 0.0], [1.0, 0.0]])
    shift = np.array([[0.0, 0.05], [0.0, 0.05]])
    assert compare(reference, reference + shift, TOLERANCE, batched=False).within


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", ["reference", "other", "both"])
def test_what_is_not_a_number_is_never_within(value: float, side: str) -> None:
    good, bad = np.ones((2, 3)), np.ones((2, 3))
    bad[1, 1] = value
    reference, other = {"reference": (bad, good), "other": (good, bad), "both": (bad, bad)}[side]
    assert not compare(reference, other, TOLERANCE, batched=True).within


def test_top1_must_agree_where_the_two_best_differ_clearly() -> None:
    reference = np.array([[1.0, 2.0, 0.0], [5.0, 5.0001, 0.0], [0.0, 0.0, 0.0]])
    swapped = reference[:, [1, 0, 2]]
    assert disagreeing_rows(reference, swapped, TOLERANCE) == [0]


def test_a_single_class_has_no_top1_to_disagree_on() -> None:
    assert disagreeing_rows(np.array([[1.0]]), np.array([[2.0]]), TOLERANCE) == []

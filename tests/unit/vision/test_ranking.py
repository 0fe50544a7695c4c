"""Probabilities are a softmax that sums to 1, and the best come first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from convserve_server.rpc.ranking import rank
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

LOGITS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(LOGITS)
@settings(deadline=None)
def test_probabilities_of_all_classes_sum_to_1_and_fall_for_any_finite_logits(logits: NDArray[np.float32]) -> None:
    ranking = rank(logits, 1000)
    for row, (indices, probabilities) in enumerate(zip(ranking.indices, ranking.probabilities, strict=True)):
        assert ranking.finite[row]
        assert math.fsum(probabilities) == pytest.approx(1, abs=1e-14)
        assert sorted(probabilities, reverse=True) == probabilities
        assert sorted(indices) == list(range(logits.shape[1]))
        assert [float(v) for v in logits[row][indices]] == sorted(map(float, logits[row]), reverse=True)


def test_a_probability_is_the_share_of_the_exponentials() -> None:
    ranking = rank(np.array([[math.log(1), math.log(6), math.log(3)]]), 2)
    assert ranking.indices == [[1, 2]]
    assert ranking.probabilities[0] == pytest.approx([0.6, 0.3], abs=1e-12)


def test_equal_logits_come_in_the_order_of_their_index() -> None:
    assert rank(np.array([[1.0, 2, 2, 1, 2]], np.float32), 4).indices == [[1, 2, 4, 0]]


def test_classes_whose_probability_is_0_still_come_in_the_order_of_their_logits() -> None:
    assert rank(np.array([[0.0, -2000, -1000]], np.float32), 3).indices == [[0, 2, 1]]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_row_that_is_not_finite_is_told_apart_and_leaves_the_others_alone(bad: float) -> None:
    ranking = rank(np.array([[1, 2], [bad, 0], [2, 1]], np.float32), 1)
    assert ranking.finite == [True, False, True]
    assert (ranking.indices[0], ranking.indices[2]) == ([1], [0])
    assert np.isfinite(ranking.probabilities).all()

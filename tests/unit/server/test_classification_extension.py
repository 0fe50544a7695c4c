"""The classification extension writes an output's best classes as Triton does."""

from __future__ import annotations

import numpy as np
import pytest
from convserve_server.errors import TooLarge
from convserve_server.rpc.classification_extension import classify


def test_entries_are_value_index_and_label_best_first_row_by_row() -> None:
    output = np.array([[0.1, 3.3, -2], [5, 4, 4.5]], np.float32)
    text = classify(output, 2, ("cat", "dog"), batched=True)
    assert text.tolist() == [["3.300000:1:dog", "0.100000:0:cat"], ["5.000000:0:cat", "4.500000:2"]]


def test_a_model_without_rows_answers_without_them_and_asks_for_no_more_than_there_is() -> None:
    assert classify(np.array([1, 7], np.int64), 9, (), batched=False).tolist() == ["7:1", "1:0"]


def test_of_equal_values_the_lower_index_is_first() -> None:
    assert classify(np.zeros(4, np.float32), 3, (), batched=False).tolist() == [
        "0.000000:0",
        "0.000000:1",
        "0.000000:2",
    ]


def test_more_axes_are_one_and_there_is_a_limit() -> None:
    output = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert classify(output, 1, (), batched=True).tolist() == [["5.000000:5"], ["11.000000:5"]]
    with pytest.raises(TooLarge, match="at most 1000000"):
        classify(np.zeros((2, 600_000), np.float32), 600_000, (), batched=True)

"""Batch sizes are few, hold every batch, and waste at most half."""

from __future__ import annotations

import pytest
from convserve_server.engine.buckets import bucket_for, bucket_sizes
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (48, (1, 2, 4, 8, 16, 32, 48))],
)
def test_sizes_double_up_to_the_largest_batch(most: int, sizes: tuple[int, ...]) -> None:
    assert bucket_sizes(most) == sizes


@given(st.integers(1, 2000), st.data())
def test_every_batch_has_a_bucket_that_is_less_than_twice_as_large(most: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, most))
    assert rows <= bucket_for(rows, bucket_sizes(most)) < 2 * rows


@pytest.mark.parametrize("rows", [0, -1, 9])
def test_a_batch_that_no_bucket_holds_is_an_error(rows: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} rows do not fit into the batch sizes 1, 2, 4, 8"):
        bucket_for(rows, bucket_sizes(8))


def test_no_rows_are_no_batch() -> None:
    with pytest.raises(ValueError, match="at least 1 row"):
        bucket_sizes(0)

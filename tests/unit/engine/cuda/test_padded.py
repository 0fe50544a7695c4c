"""Rows are padded up to a bucket, and each request gets its own back."""

from __future__ import annotations

import numpy as np
import pytest
from convserve_server.engine.buckets import bucket_sizes
from convserve_server.engine.model import Array
from convserve_server.engine.padded import PaddedInstance
from hypothesis import given
from hypothesis import strategies as st

from .fakes import FakeProgram


def rows(*values: float) -> tuple[Array, ...]:
    return (np.array([[v, v] for v in values], np.float32),)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_rows_of_all_requests_are_run_in_order_and_the_padding_is_cut_off(sizes: list[int]) -> None:
    program = FakeProgram(16)
    program.staging[0].fill(np.nan)  # what an earlier batch left
    values = np.arange(1.0, sum(sizes) + 1)
    requests = [rows(*part) for part in np.split(values, np.cumsum(sizes)[:-1])]
    (output,) = PaddedInstance(program, bucket_sizes(16)).run(requests)
    assert output[:, 0].tolist() == (2 * values).tolist()


@pytest.mark.parametrize(("count", "bucket"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_the_smallest_bucket_that_holds_them_is_run(count: int, bucket: int) -> None:
    program = FakeProgram(8)
    PaddedInstance(program, bucket_sizes(8)).run([rows(*range(count))])
    assert program.runs == [(bucket, False)]


def test_a_graph_is_replayed_only_for_the_buckets_that_have_one() -> None:
    program = FakeProgram(8)
    instance = PaddedInstance(program, bucket_sizes(8), graphs={4})
    instance.run([rows(1, 2, 3)])
    instance.run([rows(1)])
    assert program.runs == [(4, True), (1, False)]


def test_more_rows_than_the_largest_bucket_are_an_error() -> None:
    with pytest.raises(ValueError, match="9 rows do not fit"):
        PaddedInstance(FakeProgram(8), bucket_sizes(8)).run([rows(*range(9))])


def test_unaligned_rows_are_taken_as_they_are() -> None:
    content = b"x" + np.array([[1, 2], [3, 4]], np.float32).tobytes()
    unaligned = np.frombuffer(content, np.float32, offset=1).reshape(2, 2)
    (output,) = PaddedInstance(FakeProgram(4), bucket_sizes(4)).run([(unaligned,)])
    assert output.tolist() == [[2, 4], [6, 8]]

"""Matrices that are written straight to the wire read as protobuf would have written them."""

from __future__ import annotations

import numpy as np
import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.rpc.matrices import append_matrices, read_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

RESPONSES = vision.ConvolveResponse.RESPONSES_FIELD_NUMBER
KERNEL = vision.ConvolveResponse.KERNEL_FIELD_NUMBER


@given(sizes=st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), max_size=3), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_appended_matrices_are_the_bytes_that_protobuf_writes(sizes: list[tuple[int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    planes = [random.standard_normal(size).astype(np.float32) for size in sizes]
    expected = vision.ConvolveResponse()
    for plane in planes:
        expected.responses.add(rows=plane.shape[0], columns=plane.shape[1], values=plane.ravel().tolist())
    assert append_matrices(b"", {RESPONSES: planes}) == expected.SerializeToString()


def test_appending_keeps_the_message_and_fills_every_field() -> None:
    head = vision.ConvolveResponse(rows=7, model_name="convolve").SerializeToString()
    plane = np.arange(6, dtype=np.float32).reshape(2, 3)
    message = vision.ConvolveResponse.FromString(append_matrices(head, {KERNEL: [plane], RESPONSES: [plane, plane]}))
    assert (message.rows, message.model_name, len(message.responses)) == (7, "convolve", 2)
    for matrix in (message.kernel, *message.responses):
        assert (matrix.rows, matrix.columns, list(matrix.values)) == (2, 3, [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("view", [np.s_[::2, ::3], np.s_[::-1, ::-1], np.s_[1:, :2]])
def test_a_view_is_written_row_by_row(view: tuple[slice, slice]) -> None:
    plane = np.arange(48, dtype=np.float32).reshape(6, 8)[view]
    message = vision.ConvolveResponse.FromString(append_matrices(b"", {RESPONSES: [plane]}))
    np.testing.assert_array_equal(read_matrix(message.responses[0], "matrix"), plane)

"""Matrices on the wire: exactly what protobuf would have written, and read back without loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convserve_client.errors import InputError, ReplyError
from convserve_client.matrices import matrix_array, read_matrix, read_planes, write_matrix
from convserve_proto import vision_pb2
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

matrices = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.floats(width=32))


@given(matrices)
def test_a_matrix_is_written_as_protobuf_writes_it(array: NDArray[np.float32]) -> None:
    written = vision_pb2.Matrix()
    write_matrix(written, array)
    rows, columns = array.shape
    by_protobuf = vision_pb2.Matrix(rows=rows, columns=columns, values=array.ravel().tolist())
    assert written.SerializeToString() == by_protobuf.SerializeToString()


@given(matrices)
def test_a_matrix_is_read_back_bit_for_bit(array: NDArray[np.float32]) -> None:
    message = vision_pb2.Matrix()
    write_matrix(message, array)
    assert read_matrix(message).tobytes() == array.tobytes()


@pytest.mark.parametrize("side", [127, 128, 300])
def test_sizes_of_more_than_one_byte_are_written_right(side: int) -> None:
    array = np.arange(side * 2, dtype=np.float32).reshape(side, 2)
    message = vision_pb2.Matrix()
    write_matrix(message, array.T)
    assert (message.rows, message.columns) == (2, side)
    np.testing.assert_array_equal(read_matrix(message), array.T)


def test_a_field_of_a_newer_server_does_not_shift_the_values() -> None:
    newer = vision_pb2.Matrix(rows=1, columns=2, values=[1.5, 2.5]).SerializeToString() + b"\x9a\x06\x03new"
    np.testing.assert_array_equal(read_matrix(vision_pb2.Matrix.FromString(newer)), [[1.5, 2.5]])


def test_a_matrix_that_does_not_hold_what_it_says_is_refused() -> None:
    with pytest.raises(ReplyError, match="2 x 2 with 3 numbers"):
        read_matrix(vision_pb2.Matrix(rows=2, columns=2, values=[1, 2, 3]))
    with pytest.raises(ReplyError, match="beside a size"):
        read_planes([vision_pb2.Matrix(rows=1, columns=1, values=[1])], 2, 2)


def test_no_planes_still_have_a_size() -> None:
    assert read_planes([], 3, 4).shape == (0, 3, 4)


@pytest.mark.parametrize(
    "values", [[1, 2], [[1], [2, 3]], [["a"]], [[1j]], np.zeros((0, 3)), np.zeros((1, 1, 1)), [[None]]]
)
def test_what_is_no_matrix_is_refused_by_name(values: Any) -> None:
    with pytest.raises(InputError, match="the kernel is"):
        matrix_array("kernel", values)


def test_lists_integers_and_big_endian_arrays_become_float32() -> None:
    for values in ([[1, 2]], np.array([[1, 2]], ">f8"), np.array([[1], [2]], np.uint8).T):
        array = matrix_array("image", values)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, [[1, 2]])

"""Tensors survive the wire in both forms, and one that does not say what it claims is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_proto.tensors import (
    NUMPY_TYPES,
    TensorError,
    datatype_of,
    decode_contents,
    decode_raw,
    encode_raw,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NUMBERS = [t for t in NUMPY_TYPES if t != "BYTES"]
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@given(data=st.data(), datatype=st.sampled_from(NUMBERS), shape=shapes)
def test_raw_contents_round_trip(data: st.DataObject, datatype: str, shape: tuple[int, ...]) -> None:
    array = data.draw(hnp.arrays(NUMPY_TYPES[datatype], shape))
    decoded = decode_raw("x", datatype, shape, encode_raw(array))
    assert decoded.dtype == array.dtype
    assert decoded.shape == shape
    assert decoded.tobytes() == array.tobytes()
    # To numpy, BF16 is its bits.
    assert datatype_of(array) == {"BF16": "UINT16"}.get(datatype, datatype)


@given(elements=st.lists(st.binary(max_size=20), max_size=8))
def test_bytes_round_trip(elements: list[bytes]) -> None:
    array = np.empty(len(elements), object)
    array[:] = elements
    decoded = decode_raw("x", "BYTES", array.shape, encode_raw(array))
    assert list(decoded) == elements


@given(raw=st.binary(max_size=40), count=st.integers(0, 5))
def test_any_bytes_are_a_tensor_or_a_sentence(raw: bytes, count: int) -> None:
    for datatype in NUMPY_TYPES:
        try:
            shape = decode_raw("x", datatype, (count,), raw).shape
        except TensorError as error:
            shape, sentence = (count,), str(error)
            assert "input 'x'" in sentence
        assert shape == (count,)


def test_raw_contents_are_not_copied() -> None:
    raw = bytes(48)
    assert not decode_raw("x", "FP32", (3, 4), raw).flags.owndata


@given(data=st.data(), datatype=st.sampled_from([t for t in NUMBERS if t not in ("FP16", "BF16")]), shape=shapes)
def test_typed_contents_round_trip(data: st.DataObject, datatype: str, shape: tuple[int, ...]) -> None:
    array = data.draw(hnp.arrays(NUMPY_TYPES[datatype], shape))
    field = {"b": "bool", "i": "int", "u": "uint", "f": "fp"}[array.dtype.kind]
    width = array.dtype.itemsize * 8
    if field in ("int", "uint") and width == 64:
        field += "64"
    elif field == "fp":
        field += str(width)
    contents = oip.InferTensorContents()
    getattr(contents, field + "_contents").extend(array.ravel().tolist())
    decoded = decode_contents("x", datatype, shape, contents)
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize(
    ("datatype", "fields", "sentence"),
    [
        ("INT8", {"int_contents": [128]}, "outside of INT8's range of -128 to 127"),
        ("UINT16", {"uint_contents": [65536]}, "outside of UINT16's range"),
        ("FP16", {}, "FP16, which has no typed contents"),
        ("FP32", {"fp64_contents": [1.0]}, "goes into fp32_contents, but fp64_contents is filled"),
        ("FP32", {"fp32_contents": [1.0, 2.0]}, "2 elements in fp32_contents, but [1] takes 1"),
    ],
)
def test_typed_contents_that_do_not_fit_are_named(datatype: str, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TensorError) as caught:
        decode_contents("x", datatype, (1,), oip.InferTensorContents(**fields))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("datatype", "raw", "sentence"),
    [
        ("FP32", b"abc", "3 bytes of raw contents, but FP32 [1] takes 4"),
        ("BOOL", b"\2", "neither 0 nor 1"),
        ("BYTES", b"\1\0", "ends inside the 4-byte length of element 0"),
        ("BYTES", b"\5\0\0\0ab", "says that element 0 has 5 bytes, but 2 are left"),
        ("BYTES", b"", "0 BYTES elements, but [1] takes 1"),
    ],
)
def test_raw_contents_that_do_not_fit_are_named(datatype: str, raw: bytes, sentence: str) -> None:
    with pytest.raises(TensorError) as caught:
        decode_raw("x", datatype, (1,), raw)
    assert sentence in str(caught.value)


def test_big_endian_arrays_are_sent_little_endian() -> None:
    assert encode_raw(np.array([1], ">u2")) == b"\1\0"
    assert datatype_of(np.array([1], ">u2")) == "UINT16"


def test_text_is_bytes() -> None:
    assert datatype_of(np.array(["ä"])) == "BYTES"
    assert encode_raw(np.array(["ä"])) == b"\2\0\0\0\xc3\xa4"


def test_a_type_without_a_name_is_named() -> None:
    with pytest.raises(TensorError, match="complex64 has no datatype in the protocol"):
        datatype_of(np.zeros(1, np.complex64))


@pytest.mark.parametrize("datatype", ["FP32", "INT8", "BYTES"])
@pytest.mark.parametrize("shape", [(2**62, 2**62, 0), (0, 2**63 - 1, 8)])
def test_a_shape_that_no_array_has_is_named_even_where_an_axis_is_0(datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(TensorError, match=r"input 'x' has the shape .* which no array can have"):
        decode_raw("x", datatype, shape, b"")
    with pytest.raises(TensorError, match=r"input 'x' has the shape .* which no array can have"):
        decode_contents("x", datatype, shape, oip.InferTensorContents())


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_shape_of_very_many_axes_is_neither_multiplied_nor_quoted(datatype: str) -> None:
    with pytest.raises(TensorError, match="a shape of 1000000 axes was sent; tensors have at most 64"):
        decode_raw("x", datatype, (2**63 - 1,) * 1_000_000, b"")
    assert decode_raw("x", "UINT8", (1,) * 64, b"a").ndim == 64

"""Tensors between numpy and the Open Inference Protocol's wire forms, for both ends of a call."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import InferTensorContents

Array = NDArray[Any]


MOST_AXES = 64
"""Of a tensor, as numpy has them."""


class TensorError(ValueError):
    """A tensor that does not say what it claims to: the message names the tensor, what came and what fits."""


NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    # numpy has no such type: its bits.
    "BF16": np.dtype("<u2"),
    "BYTES": np.dtype(object),
}
"""Datatype of the protocol to numpy type. The wire is little-endian."""

DATATYPES: dict[np.dtype[Any], str] = {v: k for k, v in NUMPY_TYPES.items() if k != "BF16"}

_CONTENTS_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def datatype_of(array: Array) -> str:
    """The protocol's name for an array's type; raises TensorError where it has none."""
    if array.dtype.kind in "SU":
        return "BYTES"
    try:
        return DATATYPES[array.dtype.newbyteorder("<")]
    except KeyError:
        raise TensorError(
            f"numpy type {array.dtype} has no datatype in the protocol; use one of {', '.join(NUMPY_TYPES)}"
        ) from None


def element_count(shape: Sequence[int]) -> int:
    """Number of elements of a tensor of this shape; 1 for a scalar. Raises TensorError for more axes than MOST_AXES."""
    if len(shape) > MOST_AXES:
        # Neither multiplied nor quoted: there may be millions.
        raise TensorError(f"a shape of {len(shape)} axes was sent; tensors have at most {MOST_AXES}")
    return math.prod(shape)


def decode_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes) -> Array:
    """An array of ``shape`` over ``raw`` without a copy (read-only), except for BYTES.

    Raises TensorError when ``raw`` has not exactly the bytes that datatype and shape ask for.
    """
    if datatype == "BYTES":
        return _decode_bytes(name, shape, raw)
    dtype = NUMPY_TYPES[datatype]
    expected = element_count(shape) * dtype.itemsize
    if len(raw) != expected:
        raise TensorError(
            f"input '{name}' has {len(raw)} bytes of raw contents, but {datatype} {list(shape)} takes {expected}"
        )
    if datatype == "BOOL" and raw.translate(None, b"\x00\x01"):
        raise TensorError(f"input '{name}' has a BOOL byte that is neither 0 nor 1")
    return _shaped(name, np.frombuffer(raw, dtype), shape)


def _shaped(name: str, array: Array, shape: Sequence[int]) -> Array:
    """The array in that shape, whose count fits: where an axis is 0, the others can still be beyond any array."""
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise TensorError(f"input '{name}' has the shape {list(shape)}, which no array can have: {error}") from None


def _decode_bytes(name: str, shape: Sequence[int], raw: bytes) -> Array:
    expected = element_count(shape)
    elements: list[bytes] = []
    at = 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise TensorError(f"input '{name}' ends inside the 4-byte length of element {len(elements)}")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            raise TensorError(
                f"input '{name}' says that element {len(elements)} has {length} bytes, but {len(raw) - at} are left"
            )
        elements.append(raw[at : at + length])
        at += length
    if len(elements) != expected:
        raise TensorError(f"input '{name}' has {len(elements)} BYTES elements, but {list(shape)} takes {expected}")
    array = np.empty(expected, object)
    array[:] = elements
    return _shaped(name, array, shape)


def encode_raw(array: Array) -> bytes:
    """The raw contents of an array: little-endian, row by row; BYTES elements each behind its 4-byte length.

    Elements of an object array are bytes, or text that is encoded as UTF-8.
    """
    if array.dtype.kind in "OSU":
        parts = []
        for element in array.ravel():
            data = element.encode() if isinstance(element, str) else bytes(element)
            parts.append(struct.pack("<I", len(data)) + data)
        return b"".join(parts)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def decode_contents(name: str, datatype: str, shape: Sequence[int], contents: InferTensorContents) -> Array:
    """An array of ``shape`` from typed contents.

    Raises TensorError when another field than the datatype's is filled, when the count does not fit the shape, when a
    number does not fit the datatype, and for FP16 and BF16, which have no typed form.
    """
    field = _CONTENTS_FIELDS.get(datatype)
    if field is None:
        raise TensorError(f"input '{name}' is {datatype}, which has no typed contents: send it in raw_input_contents")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != field:
            raise TensorError(f"input '{name}' is {datatype} and goes into {field}, but {descriptor.name} is filled")
    values = getattr(contents, field)
    expected = element_count(shape)
    if len(values) != expected:
        raise TensorError(f"input '{name}' has {len(values)} elements in {field}, but {list(shape)} takes {expected}")
    if datatype == "BYTES":
        array = np.empty(expected, object)
        array[:] = list(values)
        return _shaped(name, array, shape)
    dtype = NUMPY_TYPES[datatype]
    if dtype.kind in "iu":
        wide = np.array(values, np.int64 if dtype.kind == "i" else np.uint64)
        limits = np.iinfo(dtype)
        if wide.size and (wide.min() < limits.min or wide.max() > limits.max):
            raise TensorError(
                f"input '{name}' has a number outside of {datatype}'s range of {limits.min} to {limits.max}"
            )
        return _shaped(name, wide.astype(dtype), shape)
    return _shaped(name, np.array(values, dtype), shape)

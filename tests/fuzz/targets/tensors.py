"""Tensors on the wire: raw and typed contents of every datatype, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from convserve_proto import open_inference as oip
from convserve_proto.tensors import (
    NUMPY_TYPES,
    TensorError,
    datatype_of,
    decode_contents,
    decode_raw,
    element_count,
    encode_raw,
)
from google.protobuf.message import DecodeError

from fuzz.target import Finding, Target, Try


def _attempt(data: bytes) -> str:
    try:
        request = oip.ModelInferRequest.FromString(data)
    except DecodeError:
        return "no message"
    outcome = "nothing"
    for index, tensor in enumerate(request.inputs):
        shape = tuple(tensor.shape)
        # What callers of these functions have checked before: a datatype that there is, and no negative axis.
        if tensor.datatype not in NUMPY_TYPES or min(shape, default=0) < 0:
            continue
        try:
            if index < len(request.raw_input_contents):
                outcome = _raw(tensor.name, tensor.datatype, shape, request.raw_input_contents[index])
            else:
                array = decode_contents(tensor.name, tensor.datatype, shape, tensor.contents)
                outcome = f"typed {array.dtype} {array.ndim}"
        except TensorError as error:
            outcome = str(error)
    return outcome


def _raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> str:
    array = decode_raw(name, datatype, shape, raw)
    if array.shape != shape or array.size != element_count(shape):
        raise Finding(f"{datatype} {shape} was read as {array.shape}")
    if encode_raw(array) != raw:
        raise Finding(f"{datatype} {shape} is written differently from how it was read")
    if datatype != "BF16" and datatype_of(array) != datatype:
        raise Finding(f"{datatype} was read as {datatype_of(array)}")
    return f"raw {array.dtype} {array.ndim}"


@contextmanager
def _opened() -> Iterator[Try]:
    yield _attempt


def _seeds() -> Iterator[bytes]:
    for datatype, dtype in NUMPY_TYPES.items():
        array = np.array([[b"", b"abc", b"\xff"]], object) if datatype == "BYTES" else np.ones((1, 3), dtype)
        request = oip.ModelInferRequest()
        request.inputs.add(name="x", datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(encode_raw(array))
        yield request.SerializeToString()
    typed = oip.ModelInferRequest()
    for datatype, field, values in (
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("UINT16", "uint_contents", [0, 65535]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [float("nan"), float("inf")]),
        ("FP64", "fp64_contents", [1e308, 5e-324]),
        ("BYTES", "bytes_contents", [b"", b"\xff"]),
    ):
        tensor = typed.inputs.add(name=datatype, datatype=datatype, shape=[2])
        getattr(tensor.contents, field).extend(values)
    yield typed.SerializeToString()


TARGET = Target("tensors", _opened, _seeds)

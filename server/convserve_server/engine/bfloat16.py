"""BF16 in ONNX Runtime: numpy has no such type, so these tensors pass through its Python interface as their bits."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convserve_server.engine.model import Array, TensorSpec

_BFLOAT16 = 16
"""The number of BFLOAT16 among ONNX's element types."""


class BFloat16Session:
    """A session of ONNX Runtime that takes and gives BF16 as arrays of uint16."""

    def __init__(self, session: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        self._session = session
        self._inputs = {s.name for s in inputs if s.datatype == "BF16"}
        self._outputs = {s.name for s in outputs if s.datatype == "BF16"}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """As onnxruntime's own."""
        values = {name: _value(array, name in self._inputs) for name, array in inputs.items()}
        given = self._session.run_with_ort_values(outputs, values)
        return [_bits(v) if name in self._outputs else v.numpy() for name, v in zip(outputs, given, strict=True)]


def _value(array: Array, bfloat16: bool) -> Any:
    import onnxruntime

    if bfloat16:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.asarray(array, order="C"), _BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _bits(value: Any) -> Array:
    """A copy of the memory of a BF16 tensor, in its shape."""
    shape = tuple(value.shape())
    size = int(np.prod(shape))
    if not size:
        return np.empty(shape, np.uint16)
    return np.frombuffer(ctypes.string_at(value.data_ptr(), 2 * size), np.uint16).reshape(shape)

"""fp32 graphs as int8 and fp16 graphs, with the same inputs and outputs; the same bytes for the same material."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from convserve_export.cases import Array
from convserve_export.onnx_graph import strip

BATCH_SIZE = 64
METHODS = ("MinMax", "Percentile")
"""How the range of an activation follows from what it was in calibration; Percentile leaves out a 100,000th."""


@dataclass(frozen=True)
class Quantized:
    """An int8 graph and how it came about."""

    graph: bytes
    method: str


def to_int8(graph: bytes, rows: Array, agreement: Callable[[bytes], float], *, reduce_range: bool) -> Quantized:
    """Static QDQ quantization: weights int8 by channel, activations uint8, calibrated on ``rows`` of the only input.

    Of METHODS it takes the one with the best ``agreement`` with fp32, the first of equals. ``reduce_range`` leaves a
    bit of each weight unused, so that CPUs without VNNI do not overflow.
    """
    tried = [Quantized(_quantize(graph, rows, method, reduce_range=reduce_range), method) for method in METHODS]
    return max(tried, key=lambda q: agreement(q.graph))


def _quantize(graph: bytes, rows: Array, method: str, *, reduce_range: bool) -> bytes:
    from onnxruntime import quantization as ort

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
        def __init__(self) -> None:
            name = onnx.load_from_string(graph).graph.input[0].name
            # Percentile needs batches of one size: what is left over calibrates nothing.
            size = min(BATCH_SIZE, len(rows))
            self._batches = ({name: rows[i : i + size]} for i in range(0, len(rows) - size + 1, size))

        def get_next(self) -> dict[str, Array] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        ort.quantize_static(
            source,
            target,
            Reader(),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            calibrate_method=ort.CalibrationMethod[method],
        )
        return _clean(onnx.load(target))


def to_fp16(graph: bytes) -> bytes:
    """Weights and everything between input and output in half precision; input and output stay as they are."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with _quiet():
        model = convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True)
        # It puts its casts last, wherever they belong.
        OnnxModel.graph_topological_sort(model.graph)
        return _clean(model)


def _clean(model: onnx.ModelProto) -> bytes:
    strip(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the tools print and log about themselves."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)

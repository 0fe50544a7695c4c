"""Checks of an ONNX file on its own: valid, of the promised signature, with so many parameters. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from convserve_proto import tensors

from convserve_export.check import Check, first_line


def check_graph(onnx_file: Path) -> Check:
    """A valid ONNX graph by onnx.checker, with full shape inference, that keeps all weights inside."""
    try:
        model = onnx.load(onnx_file, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker raises its own errors, those of shape inference and of protobuf
        return Check("onnx.checker", False, first_line(error))
    outside = [i.name for i in model.graph.initializer if i.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        return Check("onnx.checker", False, f"weights lie in another file: {', '.join(outside)}")
    opset = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    return Check("onnx.checker", True, f"valid with full shape inference, opset {opset}, one file")


def check_described(onnx_file: Path, described: Iterable[tuple[str, str, Sequence[int]]]) -> Check:
    """The graph's inputs and outputs are the described ones: name, datatype, shape with -1 for a free axis."""
    try:
        graph = onnx.load(onnx_file).graph
    except Exception as error:  # see check_graph
        return Check("signature", False, first_line(error))
    wanted = [f"{name} {datatype} {list(shape)}" for name, datatype, shape in described]
    found = [_value_text(v) for v in (*graph.input, *graph.output)]
    if wanted != found:
        return Check("signature", False, f"expected {', '.join(wanted)}; the graph has {', '.join(found)}")
    return Check("signature", True, ", ".join(found))


def _value_text(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
    return f"{value.name} {tensors.DATATYPES.get(np.dtype(dtype), dtype)} {shape}"


def count_onnx(model: onnx.ModelProto, names: Iterable[str]) -> int:
    """Numbers in those initializers that are parameters by name: an exporter adds constants of its own."""
    wanted = set(names)
    return sum(math.prod(i.dims) for i in model.graph.initializer if i.name in wanted)

"""Checks that look at weights and files and run nothing: parameter counts, a valid graph, the promised signature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from convserve_proto import tensors
from torch import nn

from convserve_export.candidate import Candidate
from convserve_export.cases import TensorSpec
from convserve_export.check import Check, first_line
from convserve_export.parameters import count_module, count_onnx
from convserve_export.program import load_pt2
from convserve_export.torchscript import load_torchscript

EXPECTED_PARAMETERS = "expected parameters"
"""A check of what the caller expects; it says nothing of the artifact that the others do not."""


def check_finite(module: nn.Module) -> Check:
    """No parameter or buffer is NaN or infinite."""
    bad = {n: int((~torch.isfinite(t)).sum()) for n, t in module.state_dict().items() if t.is_floating_point()}
    found = [f"{n} has {count}" for n, count in bad.items() if count]
    detail = f"NaN or infinite values: {', '.join(found)}" if found else "no NaN, no infinite value"
    return Check("finite weights", not found, detail)


def check_parameters(candidate: Candidate, torchscript: Path, pt2: Path, onnx_file: Path) -> Check:
    """As many parameters by formula as in the module and in every file."""
    names = [name for name, _ in candidate.module.named_parameters()]
    counters: dict[str, Callable[[], int]] = {
        "formula": lambda: candidate.expected_parameters,
        "eager": lambda: count_module(candidate.module),
        "torchscript": lambda: count_module(load_torchscript(torchscript)),
        "torch.export": lambda: count_module(load_pt2(pt2)),
        "onnx": lambda: count_onnx(onnx.load(onnx_file), names),
    }
    counts: dict[str, int] = {}
    for form, count in counters.items():
        try:
            counts[form] = count()
        except Exception as error:  # a file that cannot be read can fail in many ways
            return Check("parameters", False, f"the {form} form cannot be read: {first_line(error)}")
    if len(set(counts.values())) == 1:
        return Check("parameters", True, f"{candidate.expected_parameters:,} by {', '.join(counts)}")
    return Check("parameters", False, "counts differ: " + ", ".join(f"{n:,} by {form}" for form, n in counts.items()))


def check_expected_parameters(candidate: Candidate, expected: int) -> Check:
    """As many parameters as the caller expects."""
    got = count_module(candidate.module)
    detail = f"{got:,}" if got == expected else f"expected {expected:,}, but the network has {got:,}"
    return Check(EXPECTED_PARAMETERS, got == expected, detail)


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


def check_signature(candidate: Candidate, onnx_file: Path) -> Check:
    """The graph's inputs and outputs have the names, datatypes and axes that the manifest will claim."""
    try:
        graph = onnx.load(onnx_file).graph
    except Exception as error:  # see check_graph
        return Check("signature", False, first_line(error))
    wanted = [_spec_text(s) for s in (*candidate.inputs, *candidate.outputs)]
    found = [_value_text(v) for v in (*graph.input, *graph.output)]
    if wanted != found:
        return Check("signature", False, f"expected {', '.join(wanted)}; the graph has {', '.join(found)}")
    return Check("signature", True, ", ".join(found))


def _spec_text(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.datatype} {list(spec.shape)}"


def _value_text(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    shape = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
    return f"{value.name} {tensors.DATATYPES.get(np.dtype(dtype), dtype)} {shape}"

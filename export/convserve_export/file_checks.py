"""Checks that look at weights and files and run nothing: parameter counts, a valid graph, the promised signature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from convserve_export.candidate import Candidate
from convserve_export.cases import Array
from convserve_export.check import Check, first_line
from convserve_export.graph_checks import check_described, count_onnx
from convserve_export.parameters import count_module, foldable
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
    folded = 0

    def count_graph() -> int:
        nonlocal folded
        graph = onnx.load(onnx_file)
        held = held_parameters(candidate.module, graph)
        folded = held.folded
        return count_onnx(graph, held.names) + folded

    counters: dict[str, Callable[[], int]] = {
        "formula": lambda: candidate.expected_parameters,
        "eager": lambda: count_module(candidate.module),
        "torchscript": lambda: count_module(load_torchscript(torchscript)),
        "torch.export": lambda: count_module(load_pt2(pt2)),
        "onnx": count_graph,
    }
    counts: dict[str, int] = {}
    for form, count in counters.items():
        try:
            counts[form] = count()
        except Exception as error:  # a file that cannot be read can fail in many ways
            return Check("parameters", False, f"the {form} form cannot be read: {first_line(error)}")
    if len(set(counts.values())) == 1:
        note = f"; {folded:,} of batch normalizations are folded into other layers of the graph" if folded else ""
        return Check("parameters", True, f"{candidate.expected_parameters:,} by {', '.join(counts)}{note}")
    return Check("parameters", False, "counts differ: " + ", ".join(f"{n:,} by {form}" for form, n in counts.items()))


def check_expected_parameters(candidate: Candidate, expected: int) -> Check:
    """As many parameters as the caller expects."""
    got = count_module(candidate.module)
    detail = f"{got:,}" if got == expected else f"expected {expected:,}, but the network has {got:,}"
    return Check(EXPECTED_PARAMETERS, got == expected, detail)


def check_signature(candidate: Candidate, onnx_file: Path) -> Check:
    """The graph's inputs and outputs have the names, datatypes and axes that the manifest will claim."""
    return check_described(onnx_file, [(s.name, s.datatype, s.shape) for s in (*candidate.inputs, *candidate.outputs)])


@dataclass(frozen=True)
class Held:
    """How a graph holds the parameters of a module."""

    names: tuple[str, ...]
    """Of the initializers that are parameters: under their own names, or transposed under another."""
    folded: int
    """Learned numbers of batch normalizations that are folded into other layers."""


def held_parameters(module: nn.Module, graph: onnx.ModelProto) -> Held:
    """Find every parameter in the graph; one that is neither there nor foldable is not among the names."""
    parameters = dict(module.named_parameters())
    initializers = {i.name: i for i in graph.graph.initializer}
    missing = [name for name in parameters if name not in initializers]
    folded = foldable(module)
    others = [name for name in initializers if name not in parameters]
    moved = []
    for name in missing:
        values = np.sort(parameters[name].detach().numpy(), axis=None)
        same = (o for o in others if math.prod(initializers[o].dims) == values.size and o not in moved)
        found = next((o for o in same if _sorted_equal(initializers[o], values)), None)
        if found is not None:
            moved.append(found)
            folded.pop(name, None)
    lost = sum(count for name, count in folded.items() if name in missing)
    return Held((*(name for name in parameters if name in initializers), *moved), lost)


def _sorted_equal(initializer: onnx.TensorProto, values: Array) -> bool:
    return np.array_equal(np.sort(onnx.numpy_helper.to_array(initializer), axis=None), values)

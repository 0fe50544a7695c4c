"""A candidate's program as an ONNX graph: axes of any length where the signature has them, all weights in one file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch.export import ExportedProgram

from convserve_export.candidate import Candidate
from convserve_export.program import dynamic_shapes


def to_onnx(candidate: Candidate, program: ExportedProgram) -> bytes:
    """An ONNX file with all weights inside and nothing of this machine; the same bytes for the same candidate."""
    exported = _export(candidate, program)
    # A copy through bytes turns the exporter's own representation into a plain protobuf that may be edited.
    model = onnx.load_from_string(exported.model_proto.SerializeToString())
    strip(model)
    return model.SerializeToString(deterministic=True)


def _export(candidate: Candidate, program: ExportedProgram) -> torch.onnx.ONNXProgram:
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[s.name for s in candidate.inputs],
            output_names=[s.name for s in candidate.outputs],
            dynamic_shapes=dynamic_shapes(candidate.inputs),
            external_data=False,
            verbose=False,
        )
    assert exported is not None
    return exported


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about itself, which nobody who exports can act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    # It warns of each operator of torchvision that it skips where torchvision is not installed.
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # It copies its own pytrees through a deprecated class of torch.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            # Axes of several inputs that are one: they keep the name that the first of them has.
            warnings.filterwarnings("ignore", r"# The axis name: .* will not be used", UserWarning)
            yield
    finally:
        registration.setLevel(level)


def strip(model: onnx.ModelProto) -> None:
    """Remove doc strings and metadata in place: the exporter fills them with stack traces and paths of this machine."""
    _forget(model)
    _strip_graph(model.graph)
    for function in model.functions:
        _forget(function)
        _strip_nodes(function.node)
        for value in function.value_info:
            _forget(value)


def _strip_graph(graph: onnx.GraphProto) -> None:
    _forget(graph)
    _strip_nodes(graph.node)
    for part in (graph.input, graph.output, graph.value_info, graph.initializer):
        for entry in part:
            _forget(entry)


def _strip_nodes(nodes: object) -> None:
    for node in nodes:  # type: ignore[attr-defined]
        _forget(node)
        for attribute in node.attribute:
            attribute.doc_string = ""
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                _strip_graph(graph)


def _forget(entry: object) -> None:
    entry.ClearField("doc_string")  # type: ignore[attr-defined]
    entry.ClearField("metadata_props")  # type: ignore[attr-defined]

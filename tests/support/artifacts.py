"""Small artifacts that are made in a moment, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from convserve_proto import manifest_pb2
from google.protobuf import json_format
from onnx import TensorProto, helper

Tensors = Mapping[str, tuple[int, Sequence[int | str]]]
"""Name to (ONNX element type, shape); text in a shape names an axis of any length."""

_DATATYPES: dict[int, str] = {
    TensorProto.FLOAT: "FP32",
    TensorProto.INT64: "INT64",
    TensorProto.STRING: "BYTES",
    TensorProto.BOOL: "BOOL",
}
FLOAT: int = TensorProto.FLOAT
INT64: int = TensorProto.INT64


def onnx_model(nodes: Sequence[onnx.NodeProto], inputs: Tensors, outputs: Tensors) -> bytes:
    """A serialized model of these nodes."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()],
        [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def write_artifact(
    repository: Path,
    name: str,
    model: bytes,
    inputs: Tensors,
    outputs: Tensors,
    *,
    version: int = 1,
    batched: bool = True,
) -> Path:
    """Publish a model with a manifest that is true; gives its folder."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    manifest = manifest_pb2.Manifest(
        format=1,
        name=name,
        version=version,
        batched=batched,
        inputs=_signature(inputs),
        outputs=_signature(outputs),
        files=[manifest_pb2.ArtifactFile(name="model.onnx", sha256=digest, size=len(model))],
    )
    (folder / "manifest.json").write_text(json_format.MessageToJson(manifest))
    return folder


def _signature(tensors: Tensors) -> list[manifest_pb2.TensorSignature]:
    return [
        manifest_pb2.TensorSignature(
            name=name, datatype=_DATATYPES[kind], shape=[d if isinstance(d, int) else -1 for d in shape]
        )
        for name, (kind, shape) in tensors.items()
    ]


def write_sum(repository: Path, name: str = "sum", version: int = 1) -> Path:
    """total = a + b and difference = a - b, float32 [rows, 2] each, in batches."""
    inputs: Tensors = {"a": (FLOAT, ["N", 2]), "b": (FLOAT, ["N", 2])}
    outputs: Tensors = {"total": (FLOAT, ["N", 2]), "difference": (FLOAT, ["N", 2])}
    nodes = [
        helper.make_node("Add", ["a", "b"], ["total"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    return write_artifact(repository, name, onnx_model(nodes, inputs, outputs), inputs, outputs, version=version)


def write_hopeless(repository: Path, name: str = "hopeless") -> Path:
    """Loads, and fails inside of ONNX Runtime on zeros: it looks for row x + 5 of a table of one."""
    inputs: Tensors = {"x": (FLOAT, ["N", 2])}
    outputs: Tensors = {"y": (FLOAT, ["N", 2])}
    nodes = [
        helper.make_node("Constant", [], ["table"], value_float=1.0),
        helper.make_node("Constant", [], ["five"], value_float=5.0),
        helper.make_node("Constant", [], ["one"], value_ints=[1]),
        helper.make_node("Reshape", ["table", "one"], ["row"]),
        helper.make_node("Add", ["x", "five"], ["beyond"]),
        helper.make_node("Cast", ["beyond"], ["index"], to=INT64),
        helper.make_node("Gather", ["row", "index"], ["y"]),
    ]
    return write_artifact(repository, name, onnx_model(nodes, inputs, outputs), inputs, outputs)


def write_picky(repository: Path, name: str = "picky") -> Path:
    """Reads row ``index`` of ``table``; fails inside of ONNX Runtime for an index that is not there. Not batched."""
    inputs: Tensors = {"table": (FLOAT, ["N", 2]), "index": (INT64, [1])}
    outputs: Tensors = {"row": (FLOAT, [1, 2])}
    nodes = [helper.make_node("Gather", ["table", "index"], ["row"], axis=0)]
    return write_artifact(repository, name, onnx_model(nodes, inputs, outputs), inputs, outputs, batched=False)

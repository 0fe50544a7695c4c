"""An artifact with variants that can be told apart by what they answer, made in a moment, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from convserve_proto import manifest_pb2
from google.protobuf import json_format
from onnx import TensorProto, helper, numpy_helper

from support.artifacts import Tensors, onnx_model

FORMS = {
    # file: (precision, takes pixels, what it adds to the sum of its input)
    "model.onnx": ("fp32", False, 0.0),
    "model.pixels.onnx": ("fp32", True, 1.0),
    "model.int8.onnx": ("int8", False, 1000.0),
    "model.int8.pixels.onnx": ("int8", True, 1001.0),
    "model.fp16.onnx": ("fp16", False, 2000.0),
    "model.fp16.pixels.onnx": ("fp16", True, 2001.0),
}
VALUES = manifest_pb2.TensorSignature(name="input", datatype="FP32", shape=[-1, 3, 2, 2])
PIXELS = manifest_pb2.TensorSignature(name="pixels", datatype="UINT8", shape=[-1, 2, 2, 3])


def write_variants(
    repository: Path,
    name: str = "sums",
    *,
    int8_hardware: Sequence[str] = (),
    precisions: Sequence[str] = ("fp32", "int8", "fp16"),
    parameters: int = 1,
) -> Path:
    """``total``, FP32 [N]: the sum of a row plus what its form adds. fp16 is proven on CUDA, int8 where it is said."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    forms = {file: form for file, form in FORMS.items() if form[0] in precisions}
    contents = {file: _graph(pixels, plus) for file, (_, pixels, plus) in forms.items()}
    manifest = manifest_pb2.Manifest(
        format=1,
        name=name,
        version=1,
        batched=True,
        inputs=[VALUES],
        outputs=[manifest_pb2.TensorSignature(name="total", datatype="FP32", shape=[-1])],
        parameters=manifest_pb2.ParameterCounts(total=parameters),
        variants=[
            manifest_pb2.Variant(
                precision=precision,
                file=file,
                inputs=[PIXELS if pixels else VALUES],
                pixels=pixels,
                hardware={"int8": int8_hardware, "fp16": ["cuda"]}.get(precision, []),
            )
            for file, (precision, pixels, _) in forms.items()
            if file != "model.onnx"
        ],
    )
    for file, content in contents.items():
        (folder / file).write_bytes(content)
        manifest.files.add(name=file, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    (folder / "manifest.json").write_text(json_format.MessageToJson(manifest))
    return folder


def _graph(pixels: bool, plus: float) -> bytes:
    inputs: Tensors = {"input": (TensorProto.FLOAT, ["N", 3, 2, 2])}
    if pixels:
        inputs = {"pixels": (TensorProto.UINT8, ["N", 2, 2, 3])}
    (name,) = inputs
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1, 2, 3]))),
        helper.make_node("Constant", [], ["plus"], value=numpy_helper.from_array(np.array(plus, np.float32))),
        helper.make_node("ReduceSum", ["float", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "plus"], ["total"]),
    ]
    return onnx_model(nodes, inputs, {"total": (TensorProto.FLOAT, ["N"])})

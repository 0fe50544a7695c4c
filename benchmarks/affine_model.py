"""A model whose answer tells who asked and which version answered: y = 2 x + version.

Exact in float32 for whole numbers below four million.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from convserve_proto import manifest_pb2
from google.protobuf import json_format
from numpy.typing import NDArray
from onnx import TensorProto, helper

NAME = "affine"
WIDTH = 8
INPUT, OUTPUT = "x", "y"

Rows = NDArray[np.float32]
"""[rows, WIDTH]"""


def expected(rows: Rows, version: int = 1) -> Rows:
    """What a version of the model must answer, to the bit."""
    return 2 * rows + np.float32(version)


def publish(repository: Path, version: int = 1, name: str = NAME) -> Path:
    """Write a version of the model, with batching, into the repository, as a whole or not at all; gives its folder."""
    folder = repository / name / str(version)
    aside = repository / name / f".{version}"
    aside.mkdir(parents=True)
    model = _onnx(version)
    (aside / "model.onnx").write_bytes(model)
    manifest = manifest_pb2.Manifest(
        format=1,
        name=name,
        version=version,
        batched=True,
        inputs=[_signature(INPUT)],
        outputs=[_signature(OUTPUT)],
        files=[manifest_pb2.ArtifactFile(name="model.onnx", sha256=hashlib.sha256(model).hexdigest(), size=len(model))],
    )
    (aside / "manifest.json").write_text(json_format.MessageToJson(manifest))
    aside.rename(folder)
    return folder


def _signature(name: str) -> manifest_pb2.TensorSignature:
    return manifest_pb2.TensorSignature(name=name, datatype="FP32", shape=[-1, WIDTH])


def _onnx(version: int) -> bytes:
    values = {"two": 2.0, "version": float(version)}
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in values.items()]
    nodes = [
        helper.make_node("Mul", [INPUT, "two"], ["doubled"]),
        helper.make_node("Add", ["doubled", "version"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", WIDTH])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content

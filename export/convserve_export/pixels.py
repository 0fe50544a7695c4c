"""The same network with its preprocessing inside: it takes pixels as they are, a quarter of the bytes of floats.

What a picture goes through before the network is part of the graph, so training and serving cannot differ in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import torch
from convserve_proto import manifest_pb2
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Case, TensorSpec

INPUT = "pixels"
BATCH_SIZES = (1, 2, 3, 7, 32)


class PixelInput(nn.Module):
    """A network behind its preprocessing, step by step as in training.

    Input: uint8 ``[N, height, width, 3]``, RGB. Output: what ``network`` gives.
    """

    def __init__(self, network: nn.Module, preprocessing: manifest_pb2.ImagePreprocessing) -> None:
        super().__init__()
        self.network = network
        self.scale = preprocessing.scale
        self.register_buffer("mean", torch.tensor(list(preprocessing.mean)).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(preprocessing.std)).reshape(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).to(self.mean.dtype)
        return self.network((x / self.scale - self.mean) / self.std)  # type: ignore[no-any-return]


def pixel_candidate(candidate: Candidate, pictures: Array) -> Candidate:
    """The candidate as one that takes pixels, verified on ``pictures`` (uint8 ``[N, 3, H, W]``) among others."""
    about = candidate.preprocessing
    assert about is not None
    spec = TensorSpec(INPUT, "UINT8", (candidate.inputs[0].dims[0], about.height, about.width, 3))
    return replace(
        candidate,
        module=PixelInput(candidate.module, about).eval(),
        inputs=(spec,),
        example=(torch.zeros(4, about.height, about.width, 3, dtype=torch.uint8),),
        cases=pixel_cases(pictures),
        preprocessing=None,
    )


def pixel_cases(pictures: Array) -> tuple[Case, ...]:
    """Pictures, black, white, and noise, each in every batch size."""
    shape = (max(BATCH_SIZES), *pictures.shape[2:], 3)
    wanted = np.arange(shape[0]) % len(pictures)
    kinds = {
        "pictures": pictures.transpose(0, 2, 3, 1)[wanted],
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "noise": np.random.default_rng(4).integers(0, 256, shape, np.uint8),
    }
    return tuple(
        Case(kind, rows, {INPUT: np.ascontiguousarray(pixels[:rows])})
        for kind, pixels in kinds.items()
        for rows in BATCH_SIZES
    )


def with_pixel_input(graph: bytes, preprocessing: manifest_pb2.ImagePreprocessing) -> bytes:
    """An ONNX file whose input is pixels: that of ``graph``, with the preprocessing before it.

    The arithmetic and its order are those of PixelInput, so that both give the same bits. The layout changes between
    two reshapes: a plain transpose of four axes is moved behind the arithmetic by ONNX Runtime where an int8
    convolution follows, and then each channel's number meets single pixels, at ten times the cost.
    """
    model = onnx.load_from_string(graph)
    old = model.graph.input[0]
    axes = [d.dim_param or d.dim_value for d in old.type.tensor_type.shape.dim]
    channels = (1, 3, 1, 1)
    height, width = preprocessing.height, preprocessing.width
    constants: dict[str, Array] = {
        # 0 keeps the length that the axis has.
        "pixels.flat_shape": np.array([0, height * width, 3], np.int64),
        "pixels.planes_shape": np.array([0, 3, height, width], np.int64),
        "pixels.scale": np.array(preprocessing.scale, np.float32),
        "pixels.mean": np.array(preprocessing.mean, np.float32).reshape(channels),
        "pixels.std": np.array(preprocessing.std, np.float32).reshape(channels),
    }
    steps = [
        helper.make_node("Reshape", [INPUT, "pixels.flat_shape"], ["pixels.flat"]),
        helper.make_node("Transpose", ["pixels.flat"], ["pixels.channels"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["pixels.channels", "pixels.planes_shape"], ["pixels.planes"]),
        helper.make_node("Cast", ["pixels.planes"], ["pixels.float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels.float", "pixels.scale"], ["pixels.unit"]),
        helper.make_node("Sub", ["pixels.unit", "pixels.mean"], ["pixels.centred"]),
        helper.make_node("Div", ["pixels.centred", "pixels.std"], [old.name]),
    ]
    nodes = [*steps, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    shape = [axes[0], height, width, 3]
    old.CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    content: bytes = model.SerializeToString(deterministic=True)
    return content

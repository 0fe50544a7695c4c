"""Convolve by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from convserve_proto import vision_pb2 as vision
from convserve_server.rpc.convolution import Convolution
from convserve_server.rpc.convolution_request import ConvolutionLimits
from unit.vision.fakes import FakeModels, sliding_model

from fuzz.answers import answer_of, told
from fuzz.pictures import pictures
from fuzz.target import Target, Try

_LIMITS = ConvolutionLimits(max_multiply_adds=2_000_000, max_numbers=200_000)
"""Smaller than served, in keeping with inputs that are."""


@contextmanager
def _opened() -> Iterator[Try]:
    (method,) = Convolution(FakeModels(sliding_model()), _LIMITS).methods()
    yield lambda data: told(answer_of(method, data), vision.ConvolveResponse)


def _seeds() -> Iterator[bytes]:
    picture = vision.Image(encoded=next(pictures()))
    matrix = vision.Matrix(rows=3, columns=4, values=[float(n) for n in range(12)])
    kernel = vision.Matrix(rows=2, columns=2, values=[1.0, -1.0, 0.5, 3e38])
    for request in (
        vision.ConvolveRequest(image=picture, preset=vision.KERNEL_PRESET_SOBEL_X, gradient=True, png=True),
        vision.ConvolveRequest(image=picture, custom_kernel=kernel, color_mode=vision.COLOR_MODE_PER_CHANNEL, png=True),
        vision.ConvolveRequest(matrix=matrix, preset=vision.KERNEL_PRESET_BOX_BLUR, padding=vision.PADDING_SAME),
        vision.ConvolveRequest(matrix=matrix, custom_kernel=kernel, operation=vision.OPERATION_CONVOLUTION, stride=2),
        vision.ConvolveRequest(
            image=vision.Image(pixels=vision.Pixels(width=3, height=3, channels=1, data=bytes(range(9)))),
            preset=vision.KERNEL_PRESET_LAPLACIAN,
            omit_values=True,
            png=True,
        ),
    ):
        yield request.SerializeToString()


TARGET = Target("convolve", _opened, _seeds)

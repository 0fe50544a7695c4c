"""What the model computed for one Convolve request to the bytes of its response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from convserve_proto import vision_pb2 as vision

from convserve_server.engine.model import Answer, Description
from convserve_server.errors import InvalidRequest
from convserve_server.rpc.convolution_request import Plan, Planes
from convserve_server.rpc.kernels import Kernel
from convserve_server.rpc.matrices import Plane, append_matrices
from convserve_server.rpc.response_picture import magnitudes_png, response_png

_ROUNDING = 1e-6
"""A kernel sums to 0 when its sum is at most this part of its absolute sum: 0.1 + 0.2 - 0.3 does."""


def encode(request: vision.ConvolveRequest, plan: Plan, answers: Sequence[Answer], description: Description) -> bytes:
    """The serialized ConvolveResponse; ``answers`` are those for ``plan.slid``, in order.

    Raises InvalidRequest where a number of the response is larger than float32 holds.
    """
    computed = [_kept(answer, plan.stride) for answer in answers]
    response = computed[plan.chosen]
    magnitude = _magnitude(*computed) if request.gradient else None
    message = vision.ConvolveResponse(
        png=_picture(plan.kernel, response, magnitude) if request.png else b"",
        rows=response.shape[1],
        columns=response.shape[2],
        model_name=description.name,
        model_version=str(description.version),
        queue_seconds=max(answer.queue_seconds for answer in answers),
        inference_seconds=sum(answer.inference_seconds for answer in answers),
    ).SerializeToString()
    fields = vision.ConvolveResponse
    matrices: dict[int, Iterable[Plane]] = {fields.KERNEL_FIELD_NUMBER: [plan.kernel]}
    if not request.omit_values:
        matrices[fields.RESPONSES_FIELD_NUMBER] = response
        if magnitude is not None:
            x, y = computed
            matrices[fields.GRADIENT_MAGNITUDES_FIELD_NUMBER] = magnitude
            matrices[fields.GRADIENT_DIRECTIONS_FIELD_NUMBER] = np.arctan2(y, x)
    return append_matrices(message, matrices)


def _kept(answer: Answer, stride: int) -> Planes:
    """Every ``stride``-th position of what was computed, both ways."""
    response: Planes = answer.outputs[0][:, ::stride, ::stride]
    return _checked(response)


def _magnitude(x: Planes, y: Planes) -> Planes:
    """sqrt(x^2 + y^2), without the squares' overflow."""
    with np.errstate(over="ignore"):
        return _checked(np.hypot(x, y))


def _checked(planes: Planes) -> Planes:
    if not np.isfinite(planes).all():
        raise InvalidRequest(
            "the response has numbers larger than float32 holds (3.4e38): scale the image or the kernel down"
        )
    return planes


def _picture(kernel: Kernel, response: Planes, magnitude: Planes | None) -> bytes:
    if magnitude is not None:
        return magnitudes_png(magnitude)
    weights = kernel.astype(np.float64)
    if abs(weights.sum()) <= _ROUNDING * np.abs(weights).sum():
        return magnitudes_png(np.abs(response))
    return response_png(response)

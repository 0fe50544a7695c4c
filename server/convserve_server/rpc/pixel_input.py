"""Requests that send pixels where the model's preprocessing is in its graph: a quarter of the bytes of values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convserve_server.engine.model import Description

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelInferRequest


def with_pixels(description: Description, request: ModelInferRequest) -> bool:
    """True where the request names the model's input for pixels, and not its usual one."""
    pixels = description.pixels
    return pixels is not None and any(tensor.name == pixels.name for tensor in request.inputs)


def by_pixels(description: Description) -> Description:
    """The same model, as it looks to those who send pixels."""
    assert description.pixels is not None
    return replace(description, inputs=(description.pixels,))

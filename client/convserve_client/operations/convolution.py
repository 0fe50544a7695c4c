"""An image and a kernel in, the kernel's response out."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from convserve_proto import vision_pb2
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from numpy.typing import ArrayLike

from convserve_client.errors import InputError
from convserve_client.images import image_message
from convserve_client.link import Link
from convserve_client.matrices import matrix_array, read_matrix, read_planes, write_matrix
from convserve_client.results import ConvolveResult
from convserve_client.steps import Steps

if TYPE_CHECKING:
    from convserve_client.images import ImageSource

METHOD = "/convserve.v1.Convolution/Convolve"

Operation = Literal["cross_correlation", "convolution"]
Padding = Literal["valid", "same"]
ColorMode = Literal["luminance", "per_channel"]


def _names(enum: EnumTypeWrapper, prefix: str) -> dict[str, int]:
    """The values of a contract's enum by the names that callers use: sobel_x for KERNEL_PRESET_SOBEL_X."""
    return {name.removeprefix(prefix).lower(): number for name, number in enum.items() if number != 0}


_PRESETS = _names(vision_pb2.KernelPreset, "KERNEL_PRESET_")
_OPERATIONS = _names(vision_pb2.Operation, "OPERATION_")
_PADDINGS = _names(vision_pb2.Padding, "PADDING_")
_COLOR_MODES = _names(vision_pb2.ColorMode, "COLOR_MODE_")

KERNELS = tuple(_PRESETS)
"""The names of the well-known kernels."""


def convolve(
    link: Link,
    image: ImageSource | ArrayLike,
    kernel: str | ArrayLike,
    *,
    operation: Operation = "cross_correlation",
    padding: Padding = "valid",
    stride: int = 1,
    color: ColorMode = "luminance",
    gradient: bool = False,
    png: bool = False,
    values: bool = True,
    timeout: float | None = None,
) -> Steps[ConvolveResult]:
    """Slide ``kernel`` over ``image`` and answer with its response at every position.

    ``image`` is a picture (a path, the bytes of a picture file, a PIL image, a uint8 array), whose pixels count from 0
    to 255, or a matrix of any other numbers, [rows, columns]. ``kernel`` is the name of one in KERNELS, or a matrix.
    ``operation`` convolution flips the kernel first. ``padding`` same answers with as many positions as the image has,
    with zeros outside. ``stride`` takes every n-th position in both directions. ``color`` per_channel answers with
    red, green and blue on their own. ``gradient`` also answers with magnitude and direction, for Sobel, Scharr and
    Prewitt kernels. ``png`` also answers with a picture to look at; ``values`` False leaves the matrices out.

    Raises InputError for what is no image or kernel, OSError for a file that cannot be read, and InvalidArgument for
    what the server refuses, such as a kernel larger than the image.
    """
    if stride < 1:
        raise InputError(f"stride is {stride}, but at least 1 is needed")
    request = vision_pb2.ConvolveRequest(
        operation=_choice("operation", operation, _OPERATIONS),  # type: ignore[arg-type]
        padding=_choice("padding", padding, _PADDINGS),  # type: ignore[arg-type]
        color_mode=_choice("color mode", color, _COLOR_MODES),  # type: ignore[arg-type]
        stride=stride,
        gradient=gradient,
        png=png,
        omit_values=not values,
    )
    _set_image(request, image)
    if isinstance(kernel, str):
        request.preset = _choice("kernel", kernel, _PRESETS)  # type: ignore[assignment]
    else:
        write_matrix(request.custom_kernel, matrix_array("kernel", kernel))
    return (yield from link.call(METHOD, request.SerializeToString(), _result, timeout))


def _set_image(request: vision_pb2.ConvolveRequest, image: Any) -> None:
    is_picture = isinstance(image, str | Path | bytes | bytearray | memoryview) or hasattr(image, "getexif")
    if is_picture or (isinstance(image, np.ndarray) and (image.dtype == np.uint8 or image.ndim == 3)):
        request.image.CopyFrom(image_message(image))
    else:
        write_matrix(request.matrix, matrix_array("image", image))


def _choice(what: str, name: str, numbers: dict[str, int]) -> int:
    number = numbers.get(name.lower().replace("-", "_"))
    if number is None:
        close = difflib.get_close_matches(name.lower(), numbers, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"there is no {what} '{name}'; there are {', '.join(numbers)}{hint}")
    return number


def _result(payload: bytes) -> ConvolveResult:
    response = vision_pb2.ConvolveResponse.FromString(payload)
    rows, columns = response.rows, response.columns
    return ConvolveResult(
        responses=read_planes(response.responses, rows, columns),
        gradient_magnitudes=read_planes(response.gradient_magnitudes, rows, columns),
        gradient_directions=read_planes(response.gradient_directions, rows, columns),
        kernel=read_matrix(response.kernel),
        rows=rows,
        columns=columns,
        png=response.png,
        model_name=response.model_name,
        model_version=response.model_version,
        queue_seconds=response.queue_seconds,
        inference_seconds=response.inference_seconds,
    )

"""One Convolve request to what the model is to compute: planes with their border, and kernels as they are slid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from convserve_proto import vision_pb2 as vision
from numpy.typing import NDArray

from convserve_server.errors import InvalidRequest, TooLarge
from convserve_server.rpc.images import ImageLimits, PixelBudget, Pixels, decode
from convserve_server.rpc.kernels import GRADIENT_PAIRS, PRESETS, Kernel
from convserve_server.rpc.matrices import read_matrix

Planes = NDArray[np.float32]
"""[planes, rows, columns]"""


MAX_PIXELS = 25_000_000


@dataclass(frozen=True, kw_only=True)
class ConvolutionLimits:
    """How much one request may have computed."""

    images: ImageLimits = field(default_factory=lambda: ImageLimits(max_pixels=MAX_PIXELS))
    """Pixels of a picture, and numbers of a matrix; 12 to 50 bytes of memory each on the way."""
    max_multiply_adds: int = 2_000_000_000
    """Planes x positions x kernel elements x kernels, about a second of one core."""
    max_numbers: int = 16_000_000
    """Numbers in the matrices of a response, 4 bytes each; together below what a message may have."""


def convolution_limits(max_decode_time: float) -> ConvolutionLimits:
    """The usual limits, with so many seconds for decoding a picture."""
    return ConvolutionLimits(images=ImageLimits(max_pixels=MAX_PIXELS, max_decode_time=max_decode_time))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to compute: slide each of ``slid`` over ``planes``, and keep every ``stride``-th position."""

    planes: Planes
    """With zeros around where positions outside of the image are wanted."""
    slid: tuple[Kernel, ...]
    """One kernel, or those for x and y of a gradient; flipped already for a convolution."""
    chosen: int
    """Which of ``slid`` gives the responses that were asked for."""
    kernel: Kernel
    """The kernel as it was given or chosen."""
    stride: int


def plan(request: vision.ConvolveRequest, limits: ConvolutionLimits) -> Plan:
    """Everything that a request asks for, checked. Raises InvalidRequest and TooLarge."""
    flip = _flips(request.operation)
    same = _pads(request.padding)
    kernel, kernels, chosen = _kernels(request)
    planes = _planes(request, limits.images)
    rows, columns = planes.shape[1:]
    if kernel.shape[0] > rows or kernel.shape[1] > columns:
        raise InvalidRequest(
            f"the kernel of {kernel.shape[0]} x {kernel.shape[1]} is larger than the image of {rows} x {columns}:"
            " it must fit inside"
        )
    positions = (rows, columns) if same else (rows - kernel.shape[0] + 1, columns - kernel.shape[1] + 1)
    _check_work(len(planes), positions, kernel.shape, len(kernels), limits.max_multiply_adds)
    stride = request.stride or 1
    if not request.omit_values:
        _check_numbers(len(planes), positions, stride, request.gradient, limits.max_numbers)
    if same:
        planes = _padded(planes, kernel.shape, flip)
    slid = tuple(np.ascontiguousarray(k[::-1, ::-1]) for k in kernels) if flip else kernels
    return Plan(planes=planes, slid=slid, chosen=chosen, kernel=kernel, stride=stride)


def _flips(operation: int) -> bool:
    if operation not in vision.Operation.values():
        raise InvalidRequest(f"operation {operation} is unknown: use cross-correlation (1) or convolution (2)")
    return operation == vision.OPERATION_CONVOLUTION


def _pads(padding: int) -> bool:
    if padding not in vision.Padding.values():
        raise InvalidRequest(f"padding {padding} is unknown: use valid (1) or same (2)")
    return padding == vision.PADDING_SAME


def _kernels(request: vision.ConvolveRequest) -> tuple[Kernel, tuple[Kernel, ...], int]:
    """The kernel that was asked for, those to compute with, and the place of the first among them."""
    source = request.WhichOneof("kernel")
    if source is None:
        raise InvalidRequest("there is no kernel in the request: set preset or custom_kernel")
    if source == "custom_kernel":
        kernel = read_matrix(request.custom_kernel, "kernel")
    elif request.preset in PRESETS:
        kernel = PRESETS[request.preset]
    else:
        raise InvalidRequest(f"kernel preset {request.preset} is unknown: use 1 to {max(PRESETS)}, or custom_kernel")
    if not request.gradient:
        return kernel, (kernel,), 0
    pair = GRADIENT_PAIRS.get(request.preset) if source == "preset" else None
    if pair is None:
        raise InvalidRequest(
            "a gradient needs a kernel with a partner for the other axis: use a Sobel, Scharr or Prewitt preset"
        )
    return kernel, pair, 0 if kernel is pair[0] else 1


def _planes(request: vision.ConvolveRequest, limits: ImageLimits) -> Planes:
    source = request.WhichOneof("input")
    if source is None:
        raise InvalidRequest("there is no input in the request: set image or matrix")
    if request.color_mode not in vision.ColorMode.values():
        raise InvalidRequest(f"colour mode {request.color_mode} is unknown: use luminance (1) or per channel (2)")
    budget = PixelBudget(limits)
    if source == "matrix":
        matrix = read_matrix(request.matrix, "matrix")
        budget.spend(matrix.shape[1], matrix.shape[0], "the matrix")
        return matrix[np.newaxis]
    pixels = decode(request.image, "the image", budget)
    if request.color_mode == vision.COLOR_MODE_PER_CHANNEL:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    return _luminance(pixels)[np.newaxis]


def _luminance(pixels: Pixels) -> NDArray[np.float32]:
    """0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Weighted in whole thousandths, which float32 holds exactly up to 2^24, so that grey v comes out as exactly v.
    """
    thousandths: NDArray[np.float32] = pixels.astype(np.float32) @ np.array((299, 587, 114), np.float32)
    thousandths /= 1000
    return thousandths


def _padded(planes: Planes, kernel: tuple[int, ...], flip: bool) -> Planes:
    """Zeros around, so that there are as many positions as the image has.

    Centred as scipy.signal's correlate2d and convolve2d are with mode="same". For a kernel of even size these differ:
    the smaller half goes before the image for the one and after it for the other.
    """
    before = [size // 2 if flip else (size - 1) // 2 for size in kernel]
    around = [(first, size - 1 - first) for first, size in zip(before, kernel, strict=True)]
    return np.pad(planes, [(0, 0), *around])


def _check_work(planes: int, positions: tuple[int, int], kernel: tuple[int, ...], kernels: int, most: int) -> None:
    work = planes * math.prod(positions) * math.prod(kernel) * kernels
    if work > most:
        raise TooLarge(
            f"{positions[0]} x {positions[1]} positions x {kernel[0]} x {kernel[1]} kernel elements"
            f"{_times(planes, kernels, 'kernels')} are {work:,} multiplications; at most {most:,} are accepted:"
            " send a smaller image or kernel"
        )


def _check_numbers(planes: int, positions: tuple[int, int], stride: int, gradient: bool, most: int) -> None:
    rows, columns = (-(-size // stride) for size in positions)
    matrices = 3 if gradient else 1
    numbers = planes * rows * columns * matrices
    if numbers > most:
        raise TooLarge(
            f"{rows} x {columns} positions{_times(planes, matrices, 'matrices')} are {numbers:,} numbers to answer"
            f" with; at most {most:,} are accepted: send a smaller image, set a stride, or set omit_values and png"
        )


def _times(planes: int, others: int, name: str) -> str:
    return (f" x {planes} colours" if planes > 1 else "") + (f" x {others} {name}" if others > 1 else "")

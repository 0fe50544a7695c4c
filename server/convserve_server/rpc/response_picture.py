"""Responses to a PNG to look at."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Planes = NDArray[np.float32]
"""[planes, rows, columns]"""

_FAST = 1
"""zlib's quickest level: a picture to look at is wanted soon, and is half again as large at worst."""


def magnitudes_png(magnitudes: Planes) -> bytes:
    """Numbers from 0 on as a PNG: the largest becomes 255, 0 stays 0. Grey for one plane, RGB for three."""
    # In float64, where 255 over the smallest float32 is still a number.
    largest = np.float64(magnitudes.max())
    return _png(magnitudes * (255 / largest) if largest > 0 else magnitudes)


def response_png(response: Planes) -> bytes:
    """A response that is a picture itself, such as a blurred one, as a PNG: rounded and clipped to 0...255."""
    return _png(response)


def _png(planes: NDArray[np.floating]) -> bytes:
    pixels = np.clip(np.rint(planes), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=_FAST)
    return file.getvalue()

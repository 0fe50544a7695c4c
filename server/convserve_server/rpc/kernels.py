"""The well-known kernels, and which of them measure a gradient together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from convserve_proto import vision_pb2 as vision
from numpy.typing import NDArray

Kernel = NDArray[np.float32]
"""[rows, columns]"""


def _kernel(rows: Sequence[Sequence[float]], divisor: float = 1) -> Kernel:
    kernel = (np.array(rows, np.float64) / divisor).astype(np.float32)
    kernel.setflags(write=False)
    return kernel


# Written for cross-correlation: *_x answers with a positive number where the image gets brighter to the right, *_y
# where it gets brighter downwards.
_SOBEL = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
_SCHARR = ((-3, 0, 3), (-10, 0, 10), (-3, 0, 3))
_PREWITT = ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))

PRESETS: Mapping[int, Kernel] = MappingProxyType(
    {
        vision.KERNEL_PRESET_SOBEL_X: _kernel(_SOBEL),
        vision.KERNEL_PRESET_SOBEL_Y: _kernel(tuple(zip(*_SOBEL, strict=True))),
        vision.KERNEL_PRESET_SCHARR_X: _kernel(_SCHARR),
        vision.KERNEL_PRESET_SCHARR_Y: _kernel(tuple(zip(*_SCHARR, strict=True))),
        vision.KERNEL_PRESET_PREWITT_X: _kernel(_PREWITT),
        vision.KERNEL_PRESET_PREWITT_Y: _kernel(tuple(zip(*_PREWITT, strict=True))),
        vision.KERNEL_PRESET_LAPLACIAN: _kernel(((0, 1, 0), (1, -4, 1), (0, 1, 0))),
        vision.KERNEL_PRESET_SHARPEN: _kernel(((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
        vision.KERNEL_PRESET_BOX_BLUR: _kernel(((1, 1, 1), (1, 1, 1), (1, 1, 1)), 9),
        vision.KERNEL_PRESET_GAUSSIAN_BLUR: _kernel(((1, 2, 1), (2, 4, 2), (1, 2, 1)), 16),
        vision.KERNEL_PRESET_IDENTITY: _kernel(((0, 0, 0), (0, 1, 0), (0, 0, 0))),
    }
)
"""Every preset of the contract, read-only."""

_PAIRS = (
    (vision.KERNEL_PRESET_SOBEL_X, vision.KERNEL_PRESET_SOBEL_Y),
    (vision.KERNEL_PRESET_SCHARR_X, vision.KERNEL_PRESET_SCHARR_Y),
    (vision.KERNEL_PRESET_PREWITT_X, vision.KERNEL_PRESET_PREWITT_Y),
)

GRADIENT_PAIRS: Mapping[int, tuple[Kernel, Kernel]] = MappingProxyType(
    {preset: (PRESETS[x], PRESETS[y]) for x, y in _PAIRS for preset in (x, y)}
)
"""By preset, the kernels for x and y of its gradient; presets that measure no gradient are not in it."""

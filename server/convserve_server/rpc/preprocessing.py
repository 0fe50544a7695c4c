"""Pixels to a model's input: the affine map that its preprocessing states, for all images of a request at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from convserve_server.engine.model import Preprocessing

Rows = NDArray[np.float32]
"""[rows, 3, height, width]"""


class Normalizer:
    """Turns pixels into rows: ``(x / scale - mean) / std``, computed as ``x * gain + offset`` in float32.

    The two differ by rounding only: by at most 2 units in the last place of the larger of the two terms.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.size = preprocessing.width, preprocessing.height
        """Width and height of the model's input."""
        mean = np.asarray(preprocessing.mean, np.float64)
        std = np.asarray(preprocessing.std, np.float64)
        self._gain = (1 / (preprocessing.scale * std)).astype(np.float32).reshape(3, 1, 1)
        self._offset = (-mean / std).astype(np.float32).reshape(3, 1, 1)

    def empty(self, images: int) -> NDArray[np.uint8]:
        """Room for the pixels of so many images: uint8 ``[images, height, width, 3]``."""
        width, height = self.size
        return np.empty((images, height, width, 3), np.uint8)

    def rows(self, pixels: NDArray[np.uint8]) -> Rows:
        """The model's input, float32 ``[images, 3, height, width]``, for pixels ``[images, height, width, 3]``."""
        images, height, width, channels = pixels.shape
        rows = np.empty((images, channels, height, width), np.float32)
        np.copyto(rows, pixels.transpose(0, 3, 1, 2))
        rows *= self._gain
        rows += self._offset
        return rows


@lru_cache(maxsize=256)
def normalizer(preprocessing: Preprocessing) -> Normalizer:
    """The one normalizer for these numbers, kept for the next request."""
    return Normalizer(preprocessing)

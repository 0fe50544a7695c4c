"""A run slot with two ways in: rows of values and rows of pixels meet in one queue and run in a session each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convserve_server.engine.batcher import Instance
from convserve_server.engine.model import Array


class TwoEntrances:
    """Runs requests that carry pixels (uint8) in ``pixels`` and all others in ``values``.

    Both give the same outputs. A batch of one kind costs one run; a mixed one costs two.
    """

    def __init__(self, values: Instance, pixels: Instance) -> None:
        self._values, self._pixels = values, pixels
        self.gathering_seconds = 0.0

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        """See Instance.run."""
        by_pixels = [inputs[0].dtype == np.uint8 for inputs in requests]
        if all(by_pixels) or not any(by_pixels):
            instance = self._pixels if by_pixels[0] else self._values
            outputs = instance.run(requests)
            self.gathering_seconds = instance.gathering_seconds
            return outputs
        chosen = np.repeat(by_pixels, [len(inputs[0]) for inputs in requests])
        # Copied: an instance may write the next run's outputs where it wrote these.
        values = [o.copy() for o in self._values.run([r for r, p in zip(requests, by_pixels, strict=True) if not p])]
        pixels = self._pixels.run([r for r, p in zip(requests, by_pixels, strict=True) if p])
        self.gathering_seconds = self._values.gathering_seconds + self._pixels.gathering_seconds
        merged = []
        for from_values, from_pixels in zip(values, pixels, strict=True):
            whole = np.empty((len(chosen), *from_values.shape[1:]), from_values.dtype)
            whole[~chosen], whole[chosen] = from_values, from_pixels
            merged.append(whole)
        return merged

"""How fast ONNX files run beside each other: interleaved, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from convserve_export.cases import Array

BATCH_SIZES = (1, 8)
ROUNDS = 40
ROWS_A_ROUND = 16
"""So many rows of each file in turn, in a few milliseconds."""


@dataclass(frozen=True)
class Speed:
    """Images per second by batch size, on one thread."""

    images_per_second: Mapping[int, float]

    def quicker(self, other: Speed | None) -> Speed:
        """The better of two measurements of the same file, by batch size."""
        if other is None:
            return self
        return Speed(
            {batch: max(rate, other.images_per_second[batch]) for batch, rate in self.images_per_second.items()}
        )


def measure(files: Mapping[str, tuple[bytes, Array]], rounds: int = ROUNDS) -> dict[str, Speed]:
    """The speed of each file: name to (content, rows that it takes as its only input).

    Of all rounds the quickest quarter's slowest is taken: whatever else the machine does can only make a round slower.
    """
    sessions = {name: (session(content), rows) for name, (content, rows) in files.items()}
    found: dict[str, dict[int, float]] = {name: {} for name in files}
    for batch in BATCH_SIZES:
        seconds: dict[str, list[float]] = {name: [] for name in files}
        runs = max(1, ROWS_A_ROUND // batch)
        for _ in range(rounds):
            for name, (loaded, rows) in sessions.items():
                inputs = {loaded.get_inputs()[0].name: rows[:batch]}
                started = time.perf_counter()
                for _ in range(runs):
                    loaded.run(None, inputs)
                seconds[name].append((time.perf_counter() - started) / (runs * batch))
        for name, measured in seconds.items():
            found[name][batch] = 1 / float(np.percentile(measured, 25))
    return {name: Speed(by_batch) for name, by_batch in found.items()}


def session(content: bytes) -> onnxruntime.InferenceSession:
    """An ONNX file on the CPU with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

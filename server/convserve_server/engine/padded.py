"""A run slot that pads rows up to a batch size which was prepared."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from convserve_server.engine.buckets import bucket_for
from convserve_server.engine.model import Array


class Program(Protocol):
    """A model in fixed buffers; see binding.BoundProgram."""

    staging: list[Array]

    def run(self, bucket: int, *, graph: bool = False) -> list[Array]:
        """Run the first ``bucket`` rows of the staging."""


class PaddedInstance:
    """Writes rows into the staging of its program, runs the smallest bucket that holds them, and cuts the rest off.

    The rows above are whatever the last batch left there: rows do not depend on each other, and nobody gets these.
    """

    def __init__(self, program: Program, buckets: Sequence[int], graphs: Collection[int] = ()) -> None:
        self._program, self._buckets, self._graphs = program, buckets, frozenset(graphs)
        self.gathering_seconds = 0.0

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        """Run the rows of all requests as one batch."""
        started = time.perf_counter()
        rows = sum(len(arrays[0]) for arrays in requests)
        bucket = bucket_for(rows, self._buckets)
        for staged, arrays in zip(self._program.staging, zip(*requests, strict=True), strict=True):
            np.concatenate(arrays, out=staged[:rows])
        self.gathering_seconds = time.perf_counter() - started
        outputs = self._program.run(bucket, graph=bucket in self._graphs)
        return [output[:rows] for output in outputs]

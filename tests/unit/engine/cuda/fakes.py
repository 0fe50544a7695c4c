"""A device in words: what it is asked, and what it computes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from convserve_server.engine.model import Array


@dataclass
class FakeProgram:
    """Doubles its one input. Time passes as ``seconds`` says, and graphs go wrong as told."""

    rows: int
    seconds: dict[bool, float] = field(default_factory=lambda: {False: 1.0, True: 1.0})
    """Of a run, without and with a graph."""
    stale: bool = False
    """A replay gives what the capture gave."""
    capture_fails: bool = False
    runs: list[tuple[int, bool]] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.staging: list[Array] = [np.zeros((self.rows, 2), np.float32)]
        self._captured: dict[int, Array] = {}

    def run(self, bucket: int, *, graph: bool = False) -> list[Array]:
        self.runs.append((bucket, graph))
        self.now += self.seconds[graph]
        result = 2 * self.staging[0][:bucket]
        if graph:
            if self.capture_fails:
                raise RuntimeError("operation not permitted when stream is capturing")
            captured = self._captured.setdefault(bucket, result)
            return [captured if self.stale else result]
        return [result]

    def clock(self) -> float:
        return self.now

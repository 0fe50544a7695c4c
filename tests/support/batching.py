"""Hand-made parts around a batcher: an instance, callers, rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from convserve_server.engine.batcher import Batcher
from convserve_server.engine.model import Answer, Array
from convserve_server.errors import ServerError


class Doubling:
    """An instance that doubles its rows and notes what it ran; ``during`` is called inside of each run."""

    gathering_seconds = 0.0

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        self.batches: list[list[int]] = []
        self.during = during

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        self.batches.append([len(r[0]) for r in requests])
        self.during()
        return [np.concatenate([r[0] for r in requests]) * 2]


class Caller:
    """Waits for one answer; may leave, or have a deadline."""

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.left = False
        self.rooms: list[Callable[[], object]] = []
        """What is done while the caller waits for room, once for each time that it can."""
        self.results: list[Answer | ServerError] = []

    def abandoned(self) -> bool:
        return self.left

    def await_room(self) -> bool:
        if not self.rooms:
            return False
        self.rooms.pop(0)()
        return True

    @property
    def result(self) -> Answer | ServerError:
        assert len(self.results) == 1, "a caller is answered exactly once"
        return self.results[0]

    @property
    def rows(self) -> list[float]:
        assert isinstance(self.result, Answer)
        values: list[float] = self.result.outputs[0][:, 0].tolist()
        return values


def rows(*values: float) -> tuple[Array]:
    """One input with a row for each value."""
    return (np.array(values, np.float32)[:, None],)


def send(batcher: Batcher, inputs: tuple[Array, ...], caller: Caller | None = None) -> Caller:
    """Submit for a caller, or for a new one."""
    caller = caller or Caller()
    batcher.submit(inputs, caller, caller.results.append)
    return caller

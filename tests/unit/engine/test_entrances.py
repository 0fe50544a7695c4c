"""Rows of values and rows of pixels in one batch: each runs in its own session, and each caller gets its own rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from convserve_server.engine.entrances import TwoEntrances
from convserve_server.engine.model import Array


class Doubling:
    """Answers rows times two plus ``plus``, always in the same memory."""

    def __init__(self, plus: float) -> None:
        self.plus, self.gathering_seconds, self.runs = plus, 0.25, 0
        self._memory = np.zeros((16, 1), np.float32)

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        self.runs += 1
        rows = np.concatenate([inputs[0] for inputs in requests]).astype(np.float32)
        self._memory[: len(rows)] = rows * 2 + self.plus
        return [self._memory[: len(rows)]]


def values(*numbers: float) -> tuple[Array]:
    return (np.array(numbers, np.float32)[:, None],)


def pixels(*numbers: int) -> tuple[Array]:
    return (np.array(numbers, np.uint8)[:, None],)


def test_a_batch_of_one_kind_costs_one_run() -> None:
    by_values, by_pixels = Doubling(0), Doubling(0.5)
    instance = TwoEntrances(by_values, by_pixels)
    assert instance.run([values(1), values(2, 3)])[0].ravel().tolist() == [2, 4, 6]
    assert instance.run([pixels(1, 2)])[0].ravel().tolist() == [2.5, 4.5]
    assert (by_values.runs, by_pixels.runs) == (1, 1)
    assert instance.gathering_seconds == 0.25


def test_the_rows_of_a_mixed_batch_keep_their_order() -> None:
    instance = TwoEntrances(Doubling(0), Doubling(0.5))
    outputs = instance.run([values(1), pixels(2, 3), values(4, 5), pixels(6)])
    assert outputs[0].ravel().tolist() == [2, 4.5, 6.5, 8, 10, 12.5]
    assert instance.gathering_seconds == 0.5


def test_one_memory_for_both_ways_in_mixes_nothing_up() -> None:
    shared = Doubling(0)
    assert TwoEntrances(shared, shared).run([values(1), pixels(2)])[0].ravel().tolist() == [2, 4]

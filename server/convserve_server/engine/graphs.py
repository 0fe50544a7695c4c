"""Which batch sizes run faster as a CUDA graph, and whether what a graph computes is right."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from convserve_server.engine.gate import Gate
from convserve_server.engine.model import Array
from convserve_server.engine.padded import Program

log = logging.getLogger(__name__)

RUNS = 10
"""Timed runs of each kind, in turn; the median counts."""
WORTH = 0.97
"""A graph is kept where it takes at most so much of the time without it."""


class GraphsBroken(Exception):
    """The session cannot be used any more: a capture failed, or a graph computed something else."""


def winning_graphs(
    program: Program, buckets: Sequence[int], gate: Gate, clock: Callable[[], float] = time.perf_counter
) -> frozenset[int]:
    """Capture a graph for each bucket, and give those that are faster than without.

    Raises GraphsBroken when one cannot be captured or is wrong.
    """
    won = set()
    for bucket in buckets:
        _capture(program, bucket, gate)
        plain, graph = _time(program, bucket, clock)
        if graph <= WORTH * plain:
            won.add(bucket)
        log.info("batch size %d: %.0f us, as a graph %.0f us", bucket, 1e6 * plain, 1e6 * graph)
    for staged in program.staging:
        staged.fill(0)
    return frozenset(won)


def _capture(program: Program, bucket: int, gate: Gate) -> None:
    random = np.random.default_rng(bucket)
    try:
        _fill(program.staging, random)
        with gate.alone():
            program.run(bucket, graph=True)
        # Other rows than those it was captured with: a replay that does not see its inputs is found out.
        _fill(program.staging, random)
        expected, got = program.run(bucket), program.run(bucket, graph=True)
    except Exception as error:
        raise GraphsBroken(f"a graph of batch size {bucket} cannot be captured: {error}") from error
    for one, other in zip(expected, got, strict=True):
        if not np.allclose(one, other, rtol=1e-2, atol=1e-3, equal_nan=True):
            raise GraphsBroken(f"the graph of batch size {bucket} computes something else than the model")


def _fill(staging: Sequence[Array], random: np.random.Generator) -> None:
    for staged in staging:
        numbers = random.random(staged.shape) if staged.dtype.kind == "f" else random.integers(0, 2, staged.shape)
        staged[...] = numbers.astype(staged.dtype)


def _time(program: Program, bucket: int, clock: Callable[[], float]) -> tuple[float, float]:
    """Median seconds without and with the graph."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(RUNS):
        for graph, times in taken.items():
            started = clock()
            program.run(bucket, graph=graph)
            times.append(clock() - started)
    return statistics.median(taken[False]), statistics.median(taken[True])

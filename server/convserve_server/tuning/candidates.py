"""The settings that are worth a measurement, and which of the measured ones is best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BATCH_SIZES = (8, 32)
"""Tried beside the one that is set."""
CUDA_INSTANCES = (1, 2, 3)
AS_FAST = 0.97
"""Rates that differ by less are the same: then latency decides."""


@dataclass(frozen=True, order=True)
class Candidate:
    """Settings to measure."""

    instances: int
    threads: int
    max_batch_size: int

    @property
    def flags(self) -> str:
        """What to start the server with."""
        return f"--instances {self.instances} --threads {self.threads} --max-batch-size {self.max_batch_size}"


@dataclass(frozen=True)
class Figures:
    """What was measured of one candidate; times in seconds."""

    rate: float
    """Rows a second under load."""
    p50: float
    p95: float
    """Of a request under load, from its submission to its answer."""
    alone: float
    """Median of a request that has the server for itself."""


def candidates(
    cpus: int, max_batch_size: int, *, cuda: bool = False, instances: int = 0, threads: int = 0
) -> list[Candidate]:
    """What to try: the CPUs shared out between instances in every even way, and a few batch sizes.

    Instances and threads that are not 0 have been set by the user, and stay.
    """
    if cuda:
        pairs = [(n, threads or 1) for n in ((instances,) if instances else CUDA_INSTANCES)]
    else:
        counts = [instances] if instances else [n for n in (1, 2, 4, 8) if n <= cpus]
        pairs = [(n, threads or max(1, cpus // n)) for n in counts]
    sizes = sorted({size for size in (*BATCH_SIZES, max_batch_size) if size <= max_batch_size})
    return [Candidate(n, t, size) for n, t in pairs for size in sizes]


def best(measured: Mapping[Candidate, Figures]) -> Candidate:
    """The candidate with the highest rate; among those that are as fast, the one with the lowest p95."""
    top = max(figures.rate for figures in measured.values())
    as_fast = [c for c, figures in measured.items() if figures.rate >= AS_FAST * top]
    return min(as_fast, key=lambda c: (measured[c].p95, c))

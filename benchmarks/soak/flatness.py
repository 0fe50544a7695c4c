"""Does a server stay as it is? Memory, threads and descriptors over time, and what counts as growth."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import figures

WARM_UP = 0.25
"""Of the time: pools, caches and the allocator fill up in it."""
_QUARTER = 0.25
MEMORY_GROWTH = 0.02
"""Of the memory in the first quarter after the warm-up, in a soak that is long enough for everything to settle."""
_BRIEF_GROWTH = 0.05
_LONG = 1200.0
"""Seconds. In a few minutes allocators and the stacks of pooled threads are still filling up."""
_THREADS = 4
"""More: pools of threads grow to what they were ever asked for at once, and may do so late."""
_DESCRIPTORS = 2


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    seconds: float
    memory_mb: float
    threads: int
    descriptors: int


def look(pid: int, started: float) -> Sample:
    """How the process is now; ``started`` on the monotonic clock is second 0."""
    return Sample(
        time.monotonic() - started,
        figures.resident_bytes([pid]) / 1e6,
        figures.thread_count(pid),
        figures.descriptor_count(pid),
    )


class Watch:
    """Looks at a process every so often, in a thread of its own, while its block lasts."""

    def __init__(self, pid: int, every: float, started: float) -> None:
        self.samples: list[Sample] = []
        self._pid, self._every, self._started = pid, every, started
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self.samples.append(look(self._pid, self._started))
            except (FileNotFoundError, ProcessLookupError):
                return


@dataclass(frozen=True)
class Quarters:
    """The first and the last quarter of the time after the warm-up: medians, and of descriptors the fewest.

    Clients come and go with their connections, so the fewest are those that the server keeps whatever they do.
    """

    early: Sample
    late: Sample

    @property
    def memory_growth(self) -> float:
        """As a share of the earlier."""
        return self.late.memory_mb / self.early.memory_mb - 1


def quarters(samples: Sequence[Sample]) -> Quarters | None:
    """None where there are too few samples to tell anything."""
    settled = samples[int(len(samples) * WARM_UP) :]
    count = int(len(settled) * _QUARTER)
    return Quarters(_middle(settled[:count]), _middle(settled[-count:])) if count >= 5 else None


def allowed_growth(samples: Sequence[Sample]) -> float:
    """How much more memory is still flat, as a share."""
    return MEMORY_GROWTH if samples[-1].seconds >= _LONG else _BRIEF_GROWTH


def growth(samples: Sequence[Sample], before: Sample, after: Sample) -> list[str]:
    """What has grown that should not have, as sentences.

    ``before`` is the idle server before the load, ``after`` the idle server once all clients are gone.
    """
    held = quarters(samples)
    if held is None:
        return ["there are too few samples to see growth; run longer"]
    early, late = held.early, held.late
    found = []
    if held.memory_growth > allowed_growth(samples):
        found.append(
            f"memory grew by {held.memory_growth:.1%}, from {early.memory_mb:.1f} MB in the first quarter after the "
            f"warm-up to {late.memory_mb:.1f} MB in the last one"
        )
    if late.threads > early.threads + _THREADS:
        found.append(f"threads grew from {early.threads} to {late.threads}")
    if late.descriptors > early.descriptors + _DESCRIPTORS:
        found.append(f"descriptors grew from {early.descriptors} to {late.descriptors} under the same load")
    if after.descriptors > before.descriptors + _DESCRIPTORS:
        found.append(f"{after.descriptors} descriptors are open after the load, {before.descriptors} were before it")
    return found


def _middle(samples: Sequence[Sample]) -> Sample:
    def of(value: Callable[[Sample], float]) -> float:
        return median(value(s) for s in samples)

    return Sample(
        of(lambda s: s.seconds),
        of(lambda s: s.memory_mb),
        int(of(lambda s: s.threads)),
        min(s.descriptors for s in samples),
    )

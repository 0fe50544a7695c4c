"""Does a server stay as it is? Memory, threads and descriptors over time, and what counts as growth."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from statistics import median

from benchmarks import figures

_SETTLING = 0.25
"""Of the time: pools, caches and the allocator fill up in it."""
_MEMORY_GROWTH_MB = 6.0
_THREADS = 2
_DESCRIPTORS = 4


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


def growth(samples: list[Sample], before: Sample, after: Sample) -> list[str]:
    """What has grown that should not have, as sentences.

    Under load the middle of the settled first half is held against the middle of the second. ``before`` is the idle
    server before the load, ``after`` the idle server once all clients are gone.
    """
    settled = samples[int(len(samples) * _SETTLING) :]
    if len(settled) < 4:
        return ["there are too few samples to see growth; run longer"]
    early, late = settled[: len(settled) // 2], settled[len(settled) // 2 :]
    found = []
    grown = median(s.memory_mb for s in late) - median(s.memory_mb for s in early)
    if grown > _MEMORY_GROWTH_MB:
        found.append(f"memory grew by {grown:.1f} MB between the halves of the settled load")
    most_early, most_late = max(s.threads for s in early), max(s.threads for s in late)
    if most_late > most_early + _THREADS:
        found.append(f"threads grew from {most_early} to {most_late}")
    if after.descriptors > before.descriptors + _DESCRIPTORS:
        found.append(f"{after.descriptors} descriptors are open after the load, {before.descriptors} were before it")
    return found

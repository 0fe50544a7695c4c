"""What a model has done: how often, how many rows, and where the time went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from convserve_server.engine.histogram import Histogram


@dataclass
class Durations:
    """Seconds, summed over what was counted."""

    count: int = 0
    gathering: float = 0.0
    """Bringing rows together into one batch."""
    running: float = 0.0
    delivering: float = 0.0
    """Encoding the answers and handing them to the transport."""

    def add(self, count: int, gathering: float, running: float) -> None:
        """Add what took so long for each of ``count``, and is not delivered yet."""
        self.count += count
        self.gathering += count * gathering
        self.running += count * running


@dataclass
class Counts:
    """What has happened since a model was loaded."""

    rows: int = 0
    requests: Durations = field(default_factory=Durations)
    """Requests that were answered. Everybody in a batch has its durations."""
    queueing: float = 0.0
    """Seconds that these requests waited, in all."""
    queue_times: Histogram = field(default_factory=Histogram)
    run_times: Histogram = field(default_factory=Histogram)
    total_times: Histogram = field(default_factory=Histogram)
    """The same requests by how long each waited, was run, and took from submission to reply."""
    batches: dict[int, Durations] = field(default_factory=dict)
    """Runs, by their number of rows."""
    last: float | None = None
    """Start of the last run, on the clock of the batcher."""

    def answered(self, waited: float, running: float, total: float) -> None:
        """Count a request of several runs, whose rows and runs are counted elsewhere; all in seconds."""
        self.requests.add(1, 0.0, running)
        self.requests.delivering += total - waited - running
        self.queueing += waited
        self.queue_times.add(waited)
        self.run_times.add(running)
        self.total_times.add(total)

    def merge(self, other: Counts) -> None:
        """Add what another has counted."""
        self.rows += other.rows
        self.queueing += other.queueing
        _merge(self.requests, other.requests)
        self.queue_times.merge(other.queue_times)
        self.run_times.merge(other.run_times)
        self.total_times.merge(other.total_times)
        for rows, durations in list(other.batches.items()):
            _merge(self.batches.setdefault(rows, Durations()), durations)
        self.last = max((t for t in (self.last, other.last) if t is not None), default=None)


def _merge(into: Durations, other: Durations) -> None:
    into.count += other.count
    into.gathering += other.gathering
    into.running += other.running
    into.delivering += other.delivering


class Waited(Protocol):
    """A part of a batch."""

    rows: int
    submitted: float
    whole: bool
    """False where it is only a part of a request."""


class SlotStatistics:
    """What one run slot has done. Only whoever holds the slot writes, so there is no lock."""

    def __init__(self) -> None:
        self.counts = Counts()

    def ran(self, batch: Sequence[Waited], started: float, gathering: float, finished: float) -> None:
        """Count a batch that was run; moments on the batcher's clock, gathering in seconds.

        Before it is answered: who has an answer and then asks for the counts finds it there.
        """
        counts = self.counts
        rows = whole = 0
        waited = 0.0
        for part in batch:
            rows += part.rows
            if part.whole:
                whole += 1
                waited += started - part.submitted
                counts.queue_times.add(started - part.submitted)
        running = finished - started - gathering
        counts.rows += rows
        counts.last = started
        counts.queueing += waited
        counts.requests.add(whole, gathering, running)
        counts.run_times.add(running, whole)
        durations = counts.batches.get(rows)
        if durations is None:
            durations = counts.batches[rows] = Durations()
        durations.add(1, gathering, running)

    def delivered(self, batch: Sequence[Waited], rows: int, finished: float, delivered: float) -> None:
        """Add how long it took to answer the batch that was counted last."""
        counts = self.counts
        for part in batch:
            if part.whole:
                counts.total_times.add(delivered - part.submitted)
                counts.requests.delivering += delivered - finished
        counts.batches[rows].delivering += delivered - finished


def merged(slots: Iterable[SlotStatistics]) -> Counts:
    """The sum over run slots, as it is at this moment."""
    counts = Counts()
    for slot in slots:
        counts.merge(slot.counts)
    return counts

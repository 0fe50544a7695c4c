"""How long what waits will take, by what the last runs took and how long the last requests waited."""

from __future__ import annotations

_NEW = 0.1
"""The weight of the latest run in the averages: they follow a change within some ten runs."""
_MOST_STRAIN = 8.0
"""A server that was stopped for a while must not believe for long that this is how it goes."""


class Pace:
    """Moving averages of what runs take, and of how much longer requests wait than runs alone explain.

    The latter, the strain, is what else wants the processors: reading and refusing in an overload, other models, other
    programs. Written by leaders without a lock: an estimate may miss a run.
    """

    __slots__ = ("_instances", "_per_row", "_strain", "run")

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._per_row = 0.0
        self._strain = 1.0
        self.run = 0.0
        """Seconds of a run, with the delivery of its answers; 0 before the first."""

    def ran(self, rows: int, seconds: float, before: int, waited: float) -> None:
        """A run of so many rows took so long; a request in it waited so many seconds, behind ``before`` rows."""
        if not self.run:
            self.run, self._per_row = seconds, seconds / rows
            return
        explained = before * self._per_row / self._instances + self.run
        self._strain += _NEW * (min(max(waited / explained, 1.0), _MOST_STRAIN) - self._strain)
        self.run += _NEW * (seconds - self.run)
        self._per_row += _NEW * (seconds / rows - self._per_row)

    def run_seconds(self, rows: int) -> float:
        """Seconds of a run of so many rows; 0 before the first."""
        return rows * self._per_row

    def wait(self, rows: int) -> float:
        """Seconds until so many rows that wait now have been run; 0 before the first run, as nothing is known."""
        return rows * self._per_row / self._instances * self._strain

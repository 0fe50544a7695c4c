"""How long what waits will take, by what the last runs took."""

from __future__ import annotations

_NEW = 0.1
"""The weight of the latest run in the averages: they follow a change within some ten runs."""


class Pace:
    """Moving averages of what runs take. Written by leaders without a lock: an estimate may miss a run."""

    __slots__ = ("_instances", "_per_row", "run")

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._per_row = 0.0
        self.run = 0.0
        """Seconds of a run, with the delivery of its answers; 0 before the first."""

    def ran(self, rows: int, seconds: float) -> None:
        """A run of so many rows took so long."""
        if not self.run:
            self.run, self._per_row = seconds, seconds / rows
            return
        self.run += _NEW * (seconds - self.run)
        self._per_row += _NEW * (seconds / rows - self._per_row)

    def wait(self, rows: int) -> float:
        """Seconds until so many rows that wait now have been run; 0 before the first run, as nothing is known."""
        return rows * self._per_row / self._instances

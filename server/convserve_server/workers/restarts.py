"""When a worker that crashed is started again, and when it has crashed too often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """Times in seconds."""

    first_delay: float = 0.1
    """Before the first restart; each further one in a row waits twice as long."""
    longest_delay: float = 10.0
    limit: int = 6
    """Crashes in a row that are too many."""
    steady: float = 60.0
    """A worker that has served so long has not crashed "in a row"."""


class Crashes:
    """The crashes of one worker in a row."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self.count = 0

    def add(self, served: float) -> float | None:
        """Count a crash after ``served`` seconds of service.

        Gives the seconds to wait before the next start, or None when there shall be none.
        """
        policy = self._policy
        if served >= policy.steady:
            self.count = 0
        self.count += 1
        if self.count >= policy.limit:
            return None
        delay: float = policy.first_delay * 2 ** (self.count - 1)
        return min(policy.longest_delay, delay)

"""When a failed call is tried again, and how long to wait before that: a decision, without clock or sleep."""

from __future__ import annotations

import math
from dataclasses import dataclass

RETRIED = frozenset({"UNAVAILABLE", "CANCELLED"})
"""The codes worth another try: no server there yet, and a call that a stopping server gave up.

RESOURCE_EXHAUSTED is not one of them: a full queue that is asked again at once stays full. It is tried again only where
the server says after how long (grpc-retry-pushback-ms), and not before. A call that the caller itself cancelled never
gets as far as this decision.
"""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter. All calls of this SDK can be repeated: none changes anything on the server."""

    attempts: int = 5
    """Tries in all, the first one included; 1 means no retry."""
    first_pause: float = 0.1
    """Seconds before the second try, before jitter."""
    growth: float = 2.0
    """How much longer each pause is than the one before."""
    longest_pause: float = 2.0
    """Seconds that no pause goes beyond."""
    jitter: float = 0.5
    """The part of a pause that chance may take away, so that many clients do not come back in step."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}, but at least 1 is needed")
        for name in ("first_pause", "longest_pause"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{name} is {seconds}, but a finite number of seconds, 0 or more, is needed")
        if not (math.isfinite(self.growth) and self.growth >= 1):
            raise ValueError(f"growth is {self.growth}, but a finite number of at least 1 is needed")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}, but a part from 0 to 1 is needed")

    def pause(
        self, *, attempt: int, code: str, time_left: float, chance: float, retry_after: float | None = None
    ) -> float | None:
        """Seconds to wait after try number ``attempt`` (from 1) failed with ``code``, or None to give up.

        ``chance`` is a random number from 0 to 1. A pause that would use up the time that is left is not worth it.
        ``retry_after``: what the server asks for; no pause is shorter, and a negative one forbids another try.
        """
        hinted = retry_after is not None and code == "RESOURCE_EXHAUSTED"
        if not (code in RETRIED or hinted) or attempt >= self.attempts or (retry_after is not None and retry_after < 0):
            return None
        # The exponent is bounded so that a policy of very many attempts does not overflow.
        longest = min(self.longest_pause, self.first_pause * self.growth ** min(attempt - 1, 64))
        seconds = longest * (1 - self.jitter * chance) + (retry_after or 0.0)
        return seconds if seconds < time_left else None

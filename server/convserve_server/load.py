"""What the server holds for its callers at this moment and what it has refused them: shared by all ways in."""

from __future__ import annotations

import math
import threading
from collections import Counter

BUSY_PAUSE = 0.2
"""Seconds after which a caller that was refused for what others have under way may try again."""


class Load:
    """Bytes of requests that were received and are not answered yet, and counts of refusals by reason.

    Safe to use from any thread.
    """

    def __init__(self, max_waiting_bytes: int) -> None:
        self.max_waiting_bytes = max_waiting_bytes
        self.waiting_bytes = 0
        self.taken_bytes = 0
        """Of all requests since the start."""
        self.last_refusal = -math.inf
        """When a caller was last told that there is no room, by the queue of a model, too; by time.monotonic()."""
        self.refused: Counter[str] = Counter()
        """By reason: calls, bytes, slow_request, slow_answer."""
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Count a request of so many bytes as held; False where that is too much. What is alone is always held."""
        with self._lock:
            held = self.waiting_bytes + size
            if held > self.max_waiting_bytes and self.waiting_bytes:
                return False
            self.waiting_bytes = held
            self.taken_bytes += size
            return True

    def give_back(self, size: int) -> None:
        """A request that was taken is answered, and the answer is gone."""
        with self._lock:
            self.waiting_bytes -= size

    def refuse(self, reason: str) -> None:
        """Count a refusal."""
        with self._lock:
            self.refused[reason] += 1

    def refuse_bytes(self, size: int) -> str:
        """Count the refusal of a request that was not taken; the sentence for its caller."""
        self.refuse("bytes")
        return (
            f"requests of {self.waiting_bytes:,} bytes wait for their answers, and with the {size:,} of this one they "
            f"would be more than {self.max_waiting_bytes:,}: try again later"
        )


def too_many_calls(most: int) -> str:
    """The sentence for a call beyond those that may be in flight."""
    return f"{most} calls are in flight already; try again later"

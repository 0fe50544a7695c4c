"""Ends calls of callers that take too long to send their request or to take their answer.

Without this, a caller that sends headers and nothing else, or a byte now and then, or that never reads, would keep its
call, and the memory and the place that go with it, for as long as it likes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

log = logging.getLogger(__name__)

Phase = Literal["request", "answer"]
"""What a call waits for its caller with."""
_LONGEST_INTERVAL = 1.0


class Transferring(Protocol):
    """A call that may wait for its caller."""

    def waits_for_caller(self) -> Phase | None:
        """Whether it waits for the caller to send the request, or to take the answer."""

    def give_up(self, sentence: str) -> None:
        """End the call with CANCELLED, if it has not ended meanwhile."""


class SlowCallers:
    """Looks at the open calls every second or sooner and ends those that have waited for their caller for too long.

    The looks themselves notice since when a call waits, so calls that do not are not charged for it.
    """

    def __init__(
        self,
        calls: Callable[[], Iterable[Transferring]],
        patience: float,
        gave_up: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``patience`` in seconds; ``gave_up`` is told slow_request or slow_answer for each call that was ended."""
        self._calls, self._patience, self._gave_up, self._clock = calls, patience, gave_up, clock
        self._seen: dict[tuple[Transferring, Phase], float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-callers", daemon=True)

    def start(self) -> None:
        """Look from now on; a patience of 0 is endless."""
        if self._patience:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._done.set()

    def look(self) -> None:
        """Note who waits, and end who has waited too long."""
        now = self._clock()
        seen: dict[tuple[Transferring, Phase], float] = {}
        for call in self._calls():
            phase = call.waits_for_caller()
            if phase is None:
                continue
            since = self._seen.get((call, phase), now)
            if now - since < self._patience:
                seen[call, phase] = since
                continue
            self._gave_up(f"slow_{phase}")
            verb = "sent its whole request" if phase == "request" else "taken its answer"
            call.give_up(f"the caller had not {verb} after {self._patience:g} s")
        self._seen = seen

    def _run(self) -> None:
        while not self._done.wait(min(_LONGEST_INTERVAL, self._patience / 4)):
            try:
                self.look()
            except Exception:
                log.exception("looking for slow callers failed")

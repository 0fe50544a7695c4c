"""Threads that lead batches beside those that carry calls."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from convserve_server.calls import Work

log = logging.getLogger(__name__)


def _nothing() -> None:
    """Whoever led has found nothing left, or leaves it."""


class Helpers:
    """At most ``most`` threads that do work to lead. Safe to use from any thread."""

    def __init__(self, most: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._coming: Counter[Work] = Counter()
        """How many have been called for a work and have not begun it: they will find all rows that wait by then."""
        self._lock = threading.Lock()

    def lead(
        self, work: Work, hands: int = 1, batches: int | None = None, go_on: Callable[[], object] = _nothing
    ) -> bool:
        """Have so many others lead, each until nothing is left, or so many batches; ``go_on`` is called if more wait.

        False where no thread can be had (the server has stopped, or the system has none): then the caller leads.
        """
        with self._lock:
            missing = hands - self._coming[work]
            if missing <= 0:
                return True
            self._coming[work] += missing
        while missing:
            try:
                self._pool.submit(self._lead, work, batches, go_on)
            except RuntimeError:
                self._forget(work, missing)
                return False
            missing -= 1
        return True

    def close(self) -> None:
        """Let the threads go, once they are done."""
        self._pool.shutdown(wait=False)

    def _forget(self, work: Work, count: int) -> None:
        with self._lock:
            self._coming[work] -= count
            # Works of models that are unloaded are not kept.
            if not self._coming[work]:
                del self._coming[work]

    def _lead(self, work: Work, batches: int | None, go_on: Callable[[], object]) -> None:
        self._forget(work, 1)
        try:
            if work(batches):
                go_on()
        except Exception:
            log.exception("a leader failed")

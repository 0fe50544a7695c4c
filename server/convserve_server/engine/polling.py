"""Looks at files again and again, so that what has changed is in force without anybody saying so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Poller:
    """Calls ``refresh`` every ``seconds``, in a thread of its own, from start() to stop()."""

    def __init__(self, refresh: Callable[[], None], seconds: float) -> None:
        self._refresh, self._seconds = refresh, seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll", daemon=True)

    def start(self) -> None:
        """Begin to look, for the first time after ``seconds``."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Does not wait for a look that is under way."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._refresh()
            except Exception:
                log.exception("a look at the files that are followed failed; trying again in %g s", self._seconds)

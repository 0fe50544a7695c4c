"""Whether a loaded model still works: told by its runs, and where they keep failing, by a run of its own.

Runs may fail because of what callers send, and nobody shall be able to make a model look broken that way. So failures
in a row only raise the question; the answer is a probe: the input that the model was warmed with, run by itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from convserve_server.engine.model import Answer, Array, Reply
from convserve_server.errors import InferenceFailed, ServerError

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 5
"""Failed batches, with no good one between them, after which a model is probed."""
PROBE_SECONDS = 1.0
"""Between two probes of a model that fails."""


class Probed(Protocol):
    """A batcher, as far as a probe needs it."""

    def submit_alone(self, inputs: tuple[Array, ...], reply: Reply) -> None:
        """Queue rows that share no batch with others; see Batcher.submit_alone."""

    def lead(self, batches: int | None = None) -> bool:
        """See Batcher.lead."""


class Vitals:
    """Of one model. failed() and worked() may be called from any thread; neither waits.

    A model without a ``probe``, of which no input is known that it can take, is believed to fail after failures in a
    row, and to work again after its next good run.
    """

    def __init__(
        self,
        name: str,
        probe: tuple[Array, ...] | None,
        *,
        pause: Callable[[float], bool] | None = None,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """``pause`` waits for seconds, and gives True once there is no point in going on; ``start`` runs a thread."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after the model has begun to fail, or works again."""
        self.failing = ""
        """Why the model cannot be relied on; empty while it can."""
        self._name, self._probe = name, probe
        self._closed = threading.Event()
        self._pause = pause or self._closed.wait
        self._start = start or (lambda target: threading.Thread(target=target, name="probe", daemon=True).start())
        self._probing = False
        self._lock = threading.Lock()

    def failed(self, batcher: Probed, in_a_row: int) -> None:
        """A batch has failed, the last of so many without a good one between them."""
        if in_a_row < FAILURES_IN_A_ROW:
            return
        with self._lock:
            if self._probing or self.failing:
                return
            self._probing = self._probe is not None
        if self._probe is None:
            self._fail(f"its last {in_a_row} runs failed")
        else:
            inputs = self._probe
            try:
                self._start(lambda: self._watch(batcher, inputs))
            except RuntimeError:
                # No thread is to be had now. The next failure asks again.
                log.exception("%s cannot be probed", self._name)
                with self._lock:
                    self._probing = False

    def worked(self) -> None:
        """A batch was good, after others that were not."""
        with self._lock:
            if not self.failing:
                return
            self.failing = ""
        log.warning("%s works again", self._name)
        self.on_change()

    def close(self) -> None:
        """The model is served no longer: nobody needs to know how it is."""
        self._closed.set()

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self.failing:
                return
            self.failing = reason
        log.error("%s is not ready: %s", self._name, reason)
        self.on_change()

    def _watch(self, batcher: Probed, inputs: tuple[Array, ...]) -> None:
        """Probe until a probe is good."""
        try:
            while True:
                if isinstance(_run(batcher, inputs, self._judge), Answer) or self._pause(PROBE_SECONDS):
                    return
        finally:
            with self._lock:
                self._probing = False

    def _judge(self, result: Answer | ServerError) -> None:
        if isinstance(result, Answer):
            self.worked()
        # One that waited too long was not run, and says nothing.
        elif isinstance(result, InferenceFailed):
            self._fail(f"its runs fail, and so does a run of the input that it was warmed with: {result}")


def _run(
    batcher: Probed, inputs: tuple[Array, ...], judge: Callable[[Answer | ServerError], None]
) -> Answer | ServerError:
    """What came of a probe. It is judged as it comes: who leads for the probe may then run others' rows for long."""
    results: list[Answer | ServerError] = []
    done = threading.Event()

    def reply(result: Answer | ServerError) -> None:
        results.append(result)
        try:
            judge(result)
        finally:
            done.set()

    batcher.submit_alone(inputs, reply)
    batcher.lead()
    done.wait()
    return results[0]

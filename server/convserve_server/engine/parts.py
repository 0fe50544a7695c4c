"""What waits in a batcher's queue: requests, whole or in parts that are answered as one."""

from __future__ import annotations

import logging
import math
import threading

import numpy as np

from convserve_server.engine.model import Answer, Array, Reply, Waiter
from convserve_server.errors import InferenceFailed, ServerError

log = logging.getLogger(__name__)


class Part:
    """Rows of one request that are run together: the whole request, or a part of one that is split."""

    __slots__ = ("before", "inputs", "key", "reply", "rows", "submitted", "waiter", "whole")

    def __init__(
        self,
        inputs: tuple[Array, ...],
        rows: int,
        key: object,
        waiter: Waiter,
        reply: Reply,
        submitted: float,
        whole: bool = True,
    ) -> None:
        self.inputs, self.rows, self.key, self.whole = inputs, rows, key, whole
        self.waiter, self.reply, self.submitted = waiter, reply, submitted
        self.before = 0
        """Rows that waited when it came."""

    @property
    def begun(self) -> bool:
        """True where another part of the request has been taken for a run."""
        return not self.whole and isinstance(self.waiter, Gather) and self.waiter.begun

    def begin(self) -> None:
        """It is taken for a run."""
        if isinstance(self.waiter, Gather):
            self.waiter.begun = True


class Nobody:
    """Waits for an answer that no caller has asked for."""

    deadline = math.inf

    def abandoned(self) -> bool:
        return False


class Gather:
    """Collects the answers to the parts of a split request; replies once, with the whole or the first error.

    It stands in for the request's waiter, so that the parts left over after an error are dropped.
    """

    def __init__(self, parts: int, waiter: Waiter, reply: Reply) -> None:
        self.deadline = waiter.deadline
        if hasattr(waiter, "priority"):
            self.priority: int = waiter.priority
        self._waiter, self._reply = waiter, reply
        self._answers: list[Answer | None] = [None] * parts
        self._missing = parts
        self.begun = False
        """True once a part was taken for a run."""
        self._failed = False
        self._lock = threading.Lock()

    def abandoned(self) -> bool:
        return self._failed or self._waiter.abandoned()

    def reply_for(self, index: int) -> Reply:
        return lambda result: self._arrived(index, result)

    def _arrived(self, index: int, result: Answer | ServerError) -> None:
        with self._lock:
            if self._failed:
                return
            if isinstance(result, Answer):
                self._answers[index] = result
                self._missing -= 1
                if self._missing:
                    return
            else:
                self._failed = True
        self._reply(self._joined() if isinstance(result, Answer) else result)

    def _joined(self) -> Answer | ServerError:
        answers = [a for a in self._answers if a is not None]
        started = min(a.started for a in answers)
        try:
            outputs = tuple(np.concatenate(o) for o in zip(*(a.outputs for a in answers), strict=True))
        except Exception:
            log.exception("the answers to the parts of a request cannot be joined")
            return InferenceFailed(
                "the request was run in parts whose outputs do not fit together; send fewer rows at a time"
            )
        return Answer(
            outputs,
            min(a.queue_seconds for a in answers),
            max(a.started + a.inference_seconds for a in answers) - started,
            started,
            max(a.batch_rows for a in answers),
        )

"""Several submissions that make one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from convserve_server.engine.model import Answer, Reply
from convserve_server.errors import ServerError


class Joined:
    """Hands on, exactly once, the answers to all submissions in their order, or the first error among them.

    ``then`` is called by the thread that brings the last answer or the first error, and must not raise.
    """

    def __init__(self, submissions: int, then: Callable[[list[Answer] | ServerError], None]) -> None:
        self._then = then
        self._answers: list[Answer | None] = [None] * submissions
        self._settled = False
        self._lock = threading.Lock()

    def reply(self, index: int) -> Reply:
        """What to submit number ``index`` with."""

        def reply(answer: Answer | ServerError) -> None:
            outcome = self._put(index, answer)
            if outcome is not None:
                self._then(outcome)

        return reply

    def _put(self, index: int, answer: Answer | ServerError) -> list[Answer] | ServerError | None:
        """What to hand on now, if anything."""
        with self._lock:
            if self._settled:
                return None
            if isinstance(answer, ServerError):
                self._settled = True
                return answer
            self._answers[index] = answer
            answers = [a for a in self._answers if a is not None]
            if len(answers) < len(self._answers):
                return None
            self._settled = True
            return answers

"""One call of grpc.server, as handlers see it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

import grpc

from convserve_server.calls import PUSHBACK, Code, Notes, Work, pushback
from convserve_server.leading import Helpers
from convserve_server.transport.listening import monotonic_deadline

log = logging.getLogger(__name__)

Share = Callable[[Work, int, Callable[[], object]], None]
"""See Carrier.share."""
_STATUS = {status.value[0]: status for status in grpc.StatusCode}


def end_with(context: grpc.ServicerContext, code: Code, sentence: str, retry_after: float | None = None) -> bytes:
    """End a call with a status; raises what grpc.server wants raised for that."""
    if retry_after is not None:
        context.set_trailing_metadata(((PUSHBACK, pushback(retry_after)),))
    context.abort(_STATUS[code], sentence)


class StandardCall:
    """See calls.Call. Its thread waits in result() until somebody has replied."""

    notes: Notes | None = None

    def __init__(self, context: grpc.ServicerContext, share: Share, helpers: Helpers) -> None:
        remaining = context.time_remaining()
        self.deadline = math.inf if remaining is None else monotonic_deadline(time.time() + remaining)
        self._context, self._share, self._helpers = context, share, helpers
        self._outcome: tuple[Code, bytes | str, float | None] | None = None
        self._answered = threading.Event()

    @property
    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._context.invocation_metadata()

    @property
    def peer(self) -> str:
        return self._context.peer()

    @property
    def identities(self) -> tuple[bytes, ...]:
        return tuple(self._context.peer_identities() or ())

    def abandoned(self) -> bool:
        return self._outcome is not None or not self._context.is_active()

    def await_room(self) -> bool:
        return False

    def reply(self, payload: bytes) -> None:
        self._settle((Code.OK, payload, None))

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self._settle((code, message, retry_after))

    def _settle(self, outcome: tuple[Code, bytes | str, float | None]) -> None:
        if self._outcome is not None:
            log.error("a call was answered twice", stack_info=True)
            return
        self._outcome = outcome
        self._answered.set()

    def lead(self, work: Work, runs: int = 1) -> None:
        if runs > 1:
            self._share(work, runs, lambda: work(None))
        # This thread's own caller waits for it, so it leads for one batch only; a helper takes what is left.
        if work(1) and not self._helpers.lead(work):
            # Stopped meanwhile: there are no helpers any more, and others still wait.
            work(None)

    def result(self) -> bytes:
        """Wait for the reply; ends the call with its status where it is an error."""
        # The batcher answers every request, also those it drops; the margin is for bugs, so that no thread is lost.
        wait = None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic()) + 30.0
        self._answered.wait(wait)
        code, content, retry_after = self._outcome or (Code.DEADLINE_EXCEEDED, "the deadline passed", None)
        if isinstance(content, str):
            return end_with(self._context, code, content, retry_after)
        return content

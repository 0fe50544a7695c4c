"""The way in through grpc.server's public API: a thread of its pool carries each call from start to end."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc

from convserve_server.calls import INTERNAL_ERROR, Code, Method, Notes
from convserve_server.transport.listening import (
    Register,
    TransportSettings,
    add_methods,
    bind,
    monotonic_deadline,
    new_server,
)

log = logging.getLogger(__name__)

_STATUS = {status.value[0]: status for status in grpc.StatusCode}


class _Call:
    """One call of grpc.server. Its thread waits in result() until somebody has replied."""

    notes: Notes | None = None

    def __init__(self, context: grpc.ServicerContext, hand_on: Callable[..., object]) -> None:
        remaining = context.time_remaining()
        self.deadline = math.inf if remaining is None else monotonic_deadline(time.time() + remaining)
        self._context, self._hand_on = context, hand_on
        self._outcome: tuple[Code, bytes | str] | None = None
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

    def reply(self, payload: bytes) -> None:
        self._settle((Code.OK, payload))

    def fail(self, code: Code, message: str) -> None:
        self._settle((code, message))

    def _settle(self, outcome: tuple[Code, bytes | str]) -> None:
        if self._outcome is not None:
            log.error("a call was answered twice", stack_info=True)
            return
        self._outcome = outcome
        self._answered.set()

    def lead(self, work: Callable[[int | None], bool]) -> None:
        # This thread's own caller waits for it, so it leads for one batch only; a helper takes what is left.
        if work(1):
            try:
                self._hand_on(work, None)
            except RuntimeError:
                # Stopped meanwhile: there are no helpers any more, and others still wait.
                work(None)

    def result(self) -> bytes:
        """Wait for the reply; ends the call with its status where it is an error."""
        # The batcher answers every request, also those it drops; the margin is for bugs, so that no thread is lost.
        wait = None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic()) + 30.0
        self._answered.wait(wait)
        code, content = self._outcome or (Code.DEADLINE_EXCEEDED, "the deadline passed")
        if isinstance(content, str):
            self._context.abort(_STATUS[code], content)
        return content


def behavior_of(method: Method, hand_on: Callable[..., object]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    """What grpc.server runs for a method. ``hand_on(work, None)`` has work done by another thread."""

    def behavior(payload: bytes, context: grpc.ServicerContext) -> bytes:
        call = _Call(context, hand_on)
        try:
            method.handler(payload, call)
        except Exception:
            log.exception("the handler of %s failed", method.path)
            call.fail(Code.INTERNAL, INTERNAL_ERROR)
        return call.result()

    return behavior


class StandardTransport:
    """A grpc.server that serves methods and whatever ``services`` register on it themselves.

    Raises InvalidSettings when the address cannot be bound.
    """

    def __init__(
        self, settings: TransportSettings, methods: Iterable[Method], services: Iterable[Register] = ()
    ) -> None:
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="call")
        self._helpers = ThreadPoolExecutor(settings.threads, thread_name_prefix="lead")
        self._server = new_server(settings, self._threads, settings.max_calls)
        add_methods(self._server, methods, lambda m: behavior_of(m, self._helpers.submit))
        for register in services:
            register(self._server)
        self.port = bind(self._server, settings)

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Take no new calls, let accepted ones finish within ``grace`` seconds, cancel the rest. Returns when done."""
        self._server.stop(grace).wait()
        self._threads.shutdown(wait=False)
        self._helpers.shutdown(wait=False)

"""Methods on a grpc.server: who is let in, which threads carry the calls, and when a call is over.

A method takes its one request as a stream of one. That way the call is known from its headers on, and can be refused,
watched and ended before its request is there; grpc.server's own unary calls hold a thread until it has come.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from convserve_server.calls import INTERNAL_ERROR, Code, Method, Work
from convserve_server.leading import Helpers
from convserve_server.load import BUSY_PAUSE, Load, too_many_calls
from convserve_server.transport.listening import TransportSettings
from convserve_server.transport.slow_callers import Phase, SlowCallers
from convserve_server.transport.standard_call import StandardCall, end_with

log = logging.getLogger(__name__)

Behavior = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]
_REFUSING_THREADS = 2


class Carrier:
    """Carries calls of methods on a grpc.server, within the limits of the settings."""

    def __init__(self, settings: TransportSettings) -> None:
        self._max_calls = settings.max_calls
        self._load = settings.load
        # A call has a thread from its headers to its answer; as many as ``threads`` say are worked on at a time.
        self.threads = ThreadPoolExecutor(settings.max_calls + settings.threads, thread_name_prefix="call")
        self._working = threading.BoundedSemaphore(settings.threads)
        self._refusing = ThreadPoolExecutor(_REFUSING_THREADS, thread_name_prefix="refuse")
        self.helpers = Helpers(settings.threads, "lead")
        self._most_hands = settings.loops
        self._in_flight = 0
        self._lock = threading.Lock()
        self._carried: set[_Carried] = set()
        self._slow = SlowCallers(lambda: list(self._carried), settings.max_transfer_time, self._load.refuse)

    def add_methods(self, server: grpc.Server, methods: Iterable[Method]) -> None:
        """Register methods; bytes go in and out as they are."""
        handlers: dict[str, Any] = {}
        refusals: dict[str, Any] = {}
        for method in methods:
            handlers[method.path] = grpc.stream_unary_rpc_method_handler(self._behavior(method))
            refusals[method.path] = grpc.stream_unary_rpc_method_handler(self._refusal(method))
        server.add_generic_rpc_handlers((_Admitting(handlers, refusals, self._enter),))

    def start(self) -> None:
        """Watch for callers that are too slow."""
        self._slow.start()

    def stop(self) -> None:
        """All calls are over; let the threads go."""
        self._slow.stop()
        for pool in (self.threads, self._refusing):
            pool.shutdown(wait=False)
        self.helpers.close()

    def share(self, work: Work, runs: int, go_on: Callable[[], object]) -> None:
        """Have other threads lead their shares of so many runs. Whoever still finds rows waiting then calls ``go_on``.

        It is one of few who may run at the same time, and should be one that reads, too, or waits for its own caller.
        """
        hands = min(runs, self._most_hands)
        # Where there are no others, this thread does it all.
        self.helpers.lead(work, hands - 1, -(-runs // hands), go_on)

    def _enter(self) -> bool:
        with self._lock:
            if self._in_flight >= self._max_calls:
                return False
            self._in_flight += 1
            return True

    def _leave(self) -> None:
        with self._lock:
            self._in_flight -= 1

    def _refusal(self, method: Method) -> Behavior:
        def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            self._load.refuse("calls")
            method.refused(Code.RESOURCE_EXHAUSTED)
            return end_with(context, Code.RESOURCE_EXHAUSTED, too_many_calls(self._max_calls), BUSY_PAUSE)

        refuse.experimental_thread_pool = self._refusing  # type: ignore[attr-defined]
        return refuse

    def _behavior(self, method: Method) -> Behavior:
        def behavior(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            carried = _Carried(context, self._load)

            def over() -> None:
                self._carried.discard(carried)
                carried.over()
                self._leave()

            self._carried.add(carried)
            # Called when the answer is gone: until then it takes up memory, and counts as a call in flight.
            if not context.add_callback(over):
                over()
                return b""
            return self._carry(method, requests, context, carried)

        return behavior

    def _carry(
        self, method: Method, requests: Iterator[bytes], context: grpc.ServicerContext, carried: _Carried
    ) -> bytes:
        payload = next(requests, None)
        if payload is None:
            # Gone, or over the size limit, which the core has said itself; else this is heard.
            sentence = f"{method.path} takes exactly one request message, and none was sent"
            return end_with(context, Code.UNIMPLEMENTED, sentence)
        if not carried.received(len(payload)):
            method.refused(Code.RESOURCE_EXHAUSTED)
            sentence = self._load.refuse_bytes(len(payload))
            return end_with(context, Code.RESOURCE_EXHAUSTED, sentence, BUSY_PAUSE)
        call = StandardCall(context, self.share, self.helpers)
        with self._working:
            # It may have waited for its turn, and nobody is waiting for it any more.
            if call.abandoned() or call.deadline <= time.monotonic():
                method.refused(Code.DEADLINE_EXCEEDED)
                call.fail(Code.DEADLINE_EXCEEDED, "the deadline passed before the request was read")
            else:
                try:
                    method.handler(payload, call)
                except Exception:
                    log.exception("the handler of %s failed", method.path)
                    call.fail(Code.INTERNAL, INTERNAL_ERROR)
        del payload
        try:
            return call.result()
        finally:
            carried.phase = "answer"


class _Carried:
    """What is to be known of a call while it is open."""

    __slots__ = ("_context", "_load", "_lock", "_over", "_size", "phase")

    def __init__(self, context: grpc.ServicerContext, load: Load) -> None:
        self._context, self._load = context, load
        self._size = 0
        self._over = False
        self._lock = threading.Lock()
        self.phase: Phase | None = "request"

    def received(self, size: int) -> bool:
        """The request is there; False where the server holds too many bytes already."""
        if not self._load.take(size):
            return False
        with self._lock:
            # A caller that has cancelled just now is over already, and nobody else will give anything back.
            late = self._over
            self._size, self.phase = size, None
        if late:
            self._load.give_back(size)
        return True

    def over(self) -> None:
        """The call is over; comes once, and may come before its request."""
        with self._lock:
            self._over, held = True, self._size
        if held:
            self._load.give_back(held)

    def waits_for_caller(self) -> Phase | None:
        return self.phase

    def give_up(self, sentence: str) -> None:
        # grpc.server says CANCELLED in words of its own.
        self._context.cancel()


class _Admitting(grpc.GenericRpcHandler):
    """Finds the handler of a method, or a refusal where there is no room for another call."""

    def __init__(self, handlers: dict[str, Any], refusals: dict[str, Any], enter: Callable[[], bool]) -> None:
        self._handlers, self._refusals, self._enter = handlers, refusals, enter

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        handler = self._handlers.get(details.method)
        return handler if handler is None or self._enter() else self._refusals[details.method]

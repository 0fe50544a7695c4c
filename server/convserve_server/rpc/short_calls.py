"""Small unary calls that are answered whatever others do, such as health checks.

They are not counted as calls in flight, and have threads of their own. Who opens such a call and does not send its
request would keep one of these threads; so when they run short, the call that has waited longest for its caller ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from convserve_server.rpc.streams import with_pool

Answerer = Callable[[bytes, grpc.ServicerContext], bytes]
MOST_WAITING = 32
"""Calls that may wait for their requests at a time."""


class ShortCalls(grpc.GenericRpcHandler):
    """Methods by their paths, each with a function from request to reply, bytes in and out; it may abort."""

    def __init__(self, methods: Mapping[str, Answerer], name: str) -> None:
        # A few more than wait, to answer.
        self._pool = ThreadPoolExecutor(MOST_WAITING + 4, thread_name_prefix=name)
        self._handlers: dict[str, Any] = {
            path: grpc.stream_unary_rpc_method_handler(with_pool(self._behavior(path, answer), self._pool))
            for path, answer in methods.items()
        }
        self._coming = 0
        self._waiting: dict[grpc.ServicerContext, None] = {}
        self._lock = threading.Lock()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        handler = self._handlers.get(details.method)
        if handler is not None:
            with self._lock:
                self._coming += 1
                self._make_room()
        return handler

    def _behavior(self, path: str, answer: Answerer) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
        def behavior(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            with self._lock:
                self._coming -= 1
                self._waiting[context] = None
                self._make_room()
            try:
                payload = next(requests, None)
            finally:
                with self._lock:
                    self._waiting.pop(context, None)
            if payload is None:
                sentence = f"{path} takes exactly one request message, and none was sent"
                context.abort(grpc.StatusCode.UNIMPLEMENTED, sentence)
            return answer(payload, context)

        return behavior

    def _make_room(self) -> None:
        """End the call that has waited longest, where others are coming and too many wait. Called under the lock."""
        if self._coming and len(self._waiting) >= MOST_WAITING:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.cancel()

"""grpc.health.v1, with the parts that grpcio-health-checking leaves out: List, and streams that end at shutdown."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from convserve_server.rpc.short_calls import ShortCalls
from convserve_server.rpc.streams import received, refuse, with_pool

SERVICE = "grpc.health.v1.Health"
MOST_WATCHERS = 128
"""Open Watch streams; each has a thread. More are refused."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Status of the server ("") and of each service and model; NOT_SERVING until it is set otherwise."""

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), _NOT_SERVING)
        self._watching = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._withdrawn = self._closed = False
        # A few more than streams, to refuse the next ones. A watcher that takes no answers blocks its own thread only.
        self._streams = ThreadPoolExecutor(MOST_WATCHERS + 4, thread_name_prefix="health-watch")

    def set(self, serving: dict[str, bool]) -> None:
        """Set the status of each of these services, and tell who watches them. No effect once withdrawn."""
        with self._lock:
            if self._withdrawn:
                return
            for name, value in serving.items():
                self._statuses[name] = _SERVING if value else _NOT_SERVING
            self._changed.notify_all()

    def withdraw(self) -> None:
        """Everything is NOT_SERVING from now on, whatever is set later. Watch streams hear so, and stay open."""
        with self._lock:
            # At once: between the two, somebody could still say that something is serving, and it would stay so.
            self._withdrawn = True
            self._statuses = dict.fromkeys(self._statuses, _NOT_SERVING)
            self._changed.notify_all()

    def close(self) -> None:
        """Everything is NOT_SERVING from now on. Watch streams hear so and are ended: open ones would hold a stop."""
        self.withdraw()
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def add_to(self, server: grpc.Server) -> None:
        """Register the service on a server."""
        # So that an overloaded server can still be asked how it is.
        calls = ShortCalls({f"/{SERVICE}/Check": self._check, f"/{SERVICE}/List": self._list}, "health")
        handlers: dict[str, grpc.RpcMethodHandler[bytes, Any]] = {
            # Takes its request as a stream of one, so that a caller who never sends it counts as a watcher, and those
            # beyond the limit are refused and do not wait for its thread.
            "Watch": grpc.stream_stream_rpc_method_handler(
                with_pool(self._watch, self._streams), None, health_pb2.HealthCheckResponse.SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((calls, grpc.method_handlers_generic_handler(SERVICE, handlers)))

    def _check(self, payload: bytes, context: grpc.ServicerContext) -> bytes:
        service = received(health_pb2.HealthCheckRequest, payload, context).service
        status = self._statuses.get(service)
        if status is None:
            refuse(context, grpc.StatusCode.NOT_FOUND, f"unknown service '{service}'; List names the known ones")
        reply: bytes = _response(status).SerializeToString()
        return reply

    def _list(self, payload: bytes, context: grpc.ServicerContext) -> bytes:
        received(health_pb2.HealthListRequest, payload, context)
        with self._lock:
            statuses = {name: _response(status) for name, status in self._statuses.items()}
        reply: bytes = health_pb2.HealthListResponse(statuses=statuses).SerializeToString()
        return reply

    def _watch(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._lock:
            refused = self._watching >= MOST_WATCHERS
            self._watching += not refused
        if refused:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} Watch streams are open already")
        try:
            payload = next(requests, None)
            if payload is None:
                sentence = f"/{SERVICE}/Watch takes exactly one request message, and none was sent"
                context.abort(grpc.StatusCode.UNIMPLEMENTED, sentence)
            service = received(health_pb2.HealthCheckRequest, payload, context).service
            if not context.add_callback(self._wake):
                return
            last: int | None = None
            while True:
                with self._lock:
                    while self._status(service) == last and not self._closed and context.is_active():
                        self._changed.wait()
                    status, closed = self._status(service), self._closed
                if not context.is_active():
                    return
                if status != last:
                    last = status
                    yield _response(status)
                if closed:
                    return
        finally:
            with self._lock:
                self._watching -= 1

    def _status(self, service: str) -> Any:
        return self._statuses.get(service, _SERVICE_UNKNOWN)

    def _wake(self) -> None:
        with self._lock:
            self._changed.notify_all()


def _response(status: int) -> Any:
    return health_pb2.HealthCheckResponse(status=status)

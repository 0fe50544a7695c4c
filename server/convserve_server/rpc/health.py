"""grpc.health.v1, with the parts that grpcio-health-checking leaves out: List, and streams that end at shutdown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from convserve_server.rpc.streams import with_pool

SERVICE = "grpc.health.v1.Health"
_Send = Callable[[Any], None]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class _Watcher:
    """One Watch stream: the next status is sent only when it differs, and the stream is ended once."""

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._last: int | None = None
        self._open = True
        self._lock = threading.Lock()

    def tell(self, status: int) -> None:
        with self._lock:
            if self._open and status != self._last:
                self._last = status
                self._send(_response(status))

    def end(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                self._send(None)

    def gone(self) -> None:
        """The caller has left: there is nobody to send to."""
        with self._lock:
            self._open = False


class Health:
    """Status of the server ("") and of each service and model; NOT_SERVING until it is set otherwise."""

    def __init__(self, services: Iterable[str]) -> None:
        self._statuses = dict.fromkeys(("", *services), _NOT_SERVING)
        self._watchers: dict[_Watcher, str] = {}
        self._lock = threading.Lock()
        self._closed = False
        # Of its own, so that an overloaded server can still be asked how it is.
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="health")

    def set(self, serving: dict[str, bool]) -> None:
        """Set the status of each of these services, and tell who watches them. No effect once closed."""
        with self._lock:
            if self._closed:
                return
            for name, value in serving.items():
                self._statuses[name] = _SERVING if value else _NOT_SERVING
            told = [(w, self._statuses.get(n, _SERVICE_UNKNOWN)) for w, n in self._watchers.items()]
        for watcher, status in told:
            watcher.tell(status)

    def close(self) -> None:
        """Everything is NOT_SERVING from now on. Watch streams hear so and are ended: open ones would hold a stop."""
        self.set(dict.fromkeys(self._statuses, False))
        with self._lock:
            self._closed = True
            watchers = list(self._watchers)
            self._watchers.clear()
        for watcher in watchers:
            watcher.end()

    def add_to(self, server: grpc.Server) -> None:
        """Register the service on a server."""
        listing = health_pb2.HealthListResponse.SerializeToString
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(
                with_pool(self._check, self._pool),
                health_pb2.HealthCheckRequest.FromString,
                health_pb2.HealthCheckResponse.SerializeToString,
            ),
            "List": grpc.unary_unary_rpc_method_handler(
                with_pool(self._list, self._pool), health_pb2.HealthListRequest.FromString, listing
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                with_pool(self._watch, self._pool, non_blocking=True),
                health_pb2.HealthCheckRequest.FromString,
                health_pb2.HealthCheckResponse.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    def _check(self, request: Any, context: grpc.ServicerContext) -> Any:
        status = self._statuses.get(request.service)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown service '{request.service}'; List names the known ones")
        return _response(status)

    def _list(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            statuses = {name: _response(status) for name, status in self._statuses.items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    def _watch(self, request: Any, context: grpc.ServicerContext, send: _Send) -> None:
        watcher = _Watcher(send)

        def gone() -> None:
            watcher.gone()
            with self._lock:
                self._watchers.pop(watcher, None)

        with self._lock:
            closed = self._closed
            status = self._statuses.get(request.service, _SERVICE_UNKNOWN)
            if not closed:
                self._watchers[watcher] = request.service
        watcher.tell(status)
        if closed:
            watcher.end()
        elif not context.add_callback(gone):
            gone()


def _response(status: int) -> Any:
    return health_pb2.HealthCheckResponse(status=status)

"""The way in through grpc.server's public API: a thread of its pool carries each call from start to end."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from convserve_server.calls import Code, Method
from convserve_server.errors import InvalidSettings

log = logging.getLogger(__name__)

_STATUS = {status.value[0]: status for status in grpc.StatusCode}


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """How calls get in."""

    listen: str = "127.0.0.1:8001"
    """HOST:PORT; port 0 takes a free one. IPv6 hosts in brackets."""
    max_message_bytes: int = 64 << 20
    threads: int = 32
    """Calls that are worked on or waited for at the same time; more wait in line."""


class _Call:
    """One call of grpc.server. Its thread waits in result() until somebody has replied."""

    def __init__(self, context: grpc.ServicerContext, hand_on: Callable[..., object]) -> None:
        remaining = context.time_remaining()
        self.deadline = math.inf if remaining is None else time.monotonic() + remaining
        self._context, self._hand_on = context, hand_on
        self._outcome: tuple[Code, bytes | str] | None = None
        self._answered = threading.Event()

    @property
    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._context.invocation_metadata()

    @property
    def peer(self) -> str:
        return self._context.peer()

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
            self._hand_on(work, None)

    def result(self) -> bytes:
        """Wait for the reply; ends the call with its status where it is an error."""
        # The batcher answers every request, also those it drops; the margin is for bugs, so that no thread is lost.
        wait = None if self.deadline == math.inf else max(0.0, self.deadline - time.monotonic()) + 30.0
        self._answered.wait(wait)
        code, content = self._outcome or (Code.DEADLINE_EXCEEDED, "the deadline passed")
        if isinstance(content, str):
            self._context.abort(_STATUS[code], content)
        return content


class StandardTransport:
    """A grpc.server that serves methods and whatever ``services`` register on it themselves.

    Raises InvalidSettings when the address cannot be bound.
    """

    def __init__(
        self,
        settings: TransportSettings,
        methods: Iterable[Method],
        services: Iterable[Callable[[grpc.Server], None]] = (),
    ) -> None:
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="call")
        self._helpers = ThreadPoolExecutor(settings.threads, thread_name_prefix="lead")
        self._server = grpc.server(
            self._threads,
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                # By default two servers share a port silently.
                ("grpc.so_reuseport", 0),
                # Clients that keep idle connections alive are welcome every 10 s.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        by_service: dict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = defaultdict(dict)
        for method in methods:
            _, service, name = method.path.split("/")
            by_service[service][name] = grpc.unary_unary_rpc_method_handler(self._behavior(method))
        for service, handlers in by_service.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        for register in services:
            register(self._server)
        self.port = self._bind(settings.listen)

    def _behavior(self, method: Method) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def behavior(payload: bytes, context: grpc.ServicerContext) -> bytes:
            call = _Call(context, self._helpers.submit)
            method.handler(payload, call)
            return call.result()

        return behavior

    def _bind(self, address: str) -> int:
        host, separator, port = address.rpartition(":")
        if not (separator and host and port.isdecimal() and int(port) < 65536):
            raise InvalidSettings(f"the address to listen on is '{address}'; give HOST:PORT, such as 127.0.0.1:8001")
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError:
            bound = 0
        if not bound:
            raise InvalidSettings(
                f"cannot listen on {address}: the port is in use, or the address is not this machine's"
            )
        return bound

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Take no new calls, let accepted ones finish within ``grace`` seconds, cancel the rest. Returns when done."""
        self._server.stop(grace).wait()
        self._threads.shutdown(wait=False)
        self._helpers.shutdown(wait=False)

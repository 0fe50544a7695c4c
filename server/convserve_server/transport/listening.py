"""What both ways in share: how a grpc.server is made, bound and given its methods."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from convserve_server.calls import Method
from convserve_server.errors import InvalidSettings
from convserve_server.transport.address import split_address

PENDING_CALLS = 100_000

Register = Callable[[grpc.Server], None]
"""Adds services of its own to a server, such as health."""


# Far beyond any clock: the core's word for "no deadline" is about 9.2e18 seconds.
_NO_DEADLINE = 1e15


def monotonic_deadline(wall_clock: float) -> float:
    """A deadline in seconds since the epoch, as the core gives it, on the clock of time.monotonic()."""
    return math.inf if wall_clock > _NO_DEADLINE else wall_clock - time.time() + time.monotonic()


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """How calls get in."""

    listen: str = "127.0.0.1:8001"
    """HOST:PORT; port 0 takes a free one. IPv6 hosts in brackets."""
    max_message_bytes: int = 64 << 20
    max_calls: int = 1024
    """Calls in flight; more are refused with RESOURCE_EXHAUSTED."""
    threads: int = 32
    """Threads of grpc.server: each carries one call at a time."""
    loops: int = 2
    """Threads of the fast transport. One reads; as many as there are run slots may run batches."""
    credentials: grpc.ServerCredentials | None = None
    """Set for TLS."""
    shared_port: bool = False
    """Other processes may listen on the same port, and the kernel deals the connections out among them."""


def new_server(settings: TransportSettings, threads: ThreadPoolExecutor, max_calls: int | None) -> grpc.Server:
    """A grpc.server with the options that both transports have."""
    return grpc.server(
        threads,
        maximum_concurrent_rpcs=max_calls,
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            # By default two servers share a port silently.
            ("grpc.so_reuseport", int(settings.shared_port)),
            # Clients may keep idle connections alive with a ping every 10 s.
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Calls that nobody has asked the core for yet. Beyond its own limits (1,000 and 3,000) it cancels them
            # without a word; overload is refused here, with a status that says so.
            ("grpc.server.max_pending_requests", PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", 2 * PENDING_CALLS),
        ],
    )


def add_methods(
    server: grpc.Server,
    methods: Iterable[Method],
    behavior: Callable[[Method], Callable[[bytes, grpc.ServicerContext], bytes]],
) -> None:
    """Register methods; bytes go in and out as they are."""
    by_service: dict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = defaultdict(dict)
    for method in methods:
        _, service, name = method.path.split("/")
        by_service[service][name] = grpc.unary_unary_rpc_method_handler(behavior(method))
    for service, handlers in by_service.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def bind(server: grpc.Server, settings: TransportSettings) -> int:
    """Bind the address and return the port. Raises InvalidSettings when that cannot be."""
    address = settings.listen
    split_address(address)
    try:
        if settings.credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, settings.credentials)
    except RuntimeError:
        bound = 0
    if not bound:
        raise InvalidSettings(f"cannot listen on {address}: the port is in use, or the address is not this machine's")
    return bound

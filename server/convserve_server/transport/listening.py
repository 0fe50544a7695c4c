"""What both ways in share: their settings, and how a grpc.server is made and bound."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc

from convserve_server.calls import Admit, Method
from convserve_server.errors import InvalidSettings
from convserve_server.load import Load
from convserve_server.transport.address import split_address
from convserve_server.transport.connections import ConnectionLimits, channel_arguments
from convserve_server.transport.guarding import Guard

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
    load: Load = field(default_factory=lambda: Load(512 << 20))
    """Counts the bytes of requests in flight, and refuses those beyond its limit."""
    max_transfer_time: float = 60.0
    """Seconds that a request may take to arrive, and an answer to be taken; 0 is for ever."""
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    threads: int = 32
    """Calls of grpc.server that are worked on at a time; those that wait for something have threads beside these."""
    loops: int = 2
    """Threads of the fast transport. One reads; as many as there are run slots may run batches.

    On each transport also how many lead for one call, where that takes several runs.
    """
    credentials: grpc.ServerCredentials | None = None
    """Set for TLS."""
    admit: Admit | None = None
    """Set where not everybody may make every call. Asked of each call, whatever serves it."""
    shared_port: bool = False
    """Other processes may listen on the same port, and the kernel deals the connections out among them."""


def new_server(settings: TransportSettings, threads: ThreadPoolExecutor, methods: Iterable[Method]) -> grpc.Server:
    """A grpc.server with the options that both transports have. ``methods`` hear of calls that are not admitted.

    It does not limit calls by itself: that would refuse health checks, too, just when they are wanted.
    """
    return grpc.server(
        threads,
        interceptors=None if settings.admit is None else [Guard(settings.admit, methods)],
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            # By default two servers share a port silently.
            ("grpc.so_reuseport", int(settings.shared_port)),
            *channel_arguments(settings.connections),
            # Calls that nobody has asked the core for yet. Beyond its own limits (1,000 and 3,000) it cancels them
            # without a word; overload is refused here, with a status that says so.
            ("grpc.server.max_pending_requests", PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", 2 * PENDING_CALLS),
        ],
    )


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

"""How much connections may ask for, and how gRPC's core is told."""

from __future__ import annotations

from dataclasses import dataclass

HANDSHAKE_SECONDS = 20.0
"""From the start of a connection to the end of its TLS and HTTP/2 handshakes."""
PING_TIMEOUT = 20.0
"""Seconds that a client may take to answer the server's ping."""
PING_STRIKES = 2
"""Pings that come too soon and are forgiven, before the connection is closed."""


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What connections may do. Seconds; 0 is never, where never makes sense."""

    max_connections: int = 512
    """More are closed as they come."""
    max_streams: int = 10_000
    """Calls of one connection in flight. A client that knows of the limit waits with those beyond, and nobody tells its
    callers why; those that it sends before it knows are UNAVAILABLE. So this is far above the calls that are taken."""
    max_header_bytes: int = 16 << 10
    """Metadata of one call; more is RESOURCE_EXHAUSTED."""
    min_ping_interval: float = 10.0
    """Clients that ping more often are told to calm down, and disconnected."""
    keepalive: float = 60.0
    """Silence after which the server pings; a client that does not answer is disconnected."""
    max_idle: float = 0.0
    """Time without calls after which a connection is closed."""
    max_age: float = 0.0
    """Age at which a connection is closed, so that clients connect anew and may find other servers."""
    age_grace: float = 10.0
    """Seconds that calls under way may take to finish on a connection of that age."""


def channel_arguments(limits: ConnectionLimits) -> list[tuple[str, int]]:
    """The limits as options of a grpc.server."""
    found = [
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", limits.max_streams),
        # Between the two, the core refuses at random.
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(limits.min_ping_interval)),
        ("grpc.http2.max_ping_strikes", PING_STRIKES),
        # Of any ping, also those that the core sends to measure the line. Its keepalive timeout alone ends nothing.
        ("grpc.http2.ping_timeout_ms", _milliseconds(PING_TIMEOUT)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", _milliseconds(HANDSHAKE_SECONDS)),
    ]
    if limits.keepalive:
        found += [
            ("grpc.keepalive_time_ms", _milliseconds(limits.keepalive)),
            ("grpc.keepalive_timeout_ms", _milliseconds(PING_TIMEOUT)),
        ]
    if limits.max_idle:
        found.append(("grpc.max_connection_idle_ms", _milliseconds(limits.max_idle)))
    if limits.max_age:
        found += [
            ("grpc.max_connection_age_ms", _milliseconds(limits.max_age)),
            ("grpc.max_connection_age_grace_ms", _milliseconds(limits.age_grace)),
        ]
    return found


def _milliseconds(seconds: float) -> int:
    # The core takes 32 bits.
    return min(max(1, round(seconds * 1000)), 2**31 - 1)

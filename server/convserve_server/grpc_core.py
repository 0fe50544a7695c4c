"""What gRPC's core is told through its environment, before grpc is imported: later it does not look."""

from __future__ import annotations

import os

_WISHES = {
    # Its own log lines are for its developers.
    "GRPC_VERBOSITY": "ERROR",
    # Whoever polls reads the connections. By default the core reads them in a pool of threads, which wake and hand over
    # for each request: up to a tenth of a call's CPU time (docs/performance.md).
    "GRPC_EXPERIMENTS": "-event_engine_listener",
}


def tell_core() -> None:
    """Set what is not set already, for this process and those it starts."""
    for name, value in _WISHES.items():
        os.environ.setdefault(name, value)

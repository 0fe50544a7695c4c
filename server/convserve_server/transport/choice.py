"""Which transport serves: the fast one for versions of grpcio that it was tested with, else the standard one."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Protocol

import grpc

from convserve_server.calls import Method
from convserve_server.errors import InvalidSettings
from convserve_server.transport.listening import Register, TransportSettings
from convserve_server.transport.standard import StandardTransport

log = logging.getLogger(__name__)

TESTED_VERSIONS = ("1.85.1",)
"""Versions of grpcio that the conformance suite has run the fast transport with."""


class Transport(Protocol):
    """A way in."""

    port: int

    def start(self) -> None:
        """Begin to serve."""

    def stop(self, grace: float) -> None:
        """Take no new calls, let accepted ones finish within ``grace`` seconds, cancel the rest. Returns when done."""


def make_transport(
    wanted: str, settings: TransportSettings, methods: Iterable[Method], services: Iterable[Register] = ()
) -> Transport:
    """The transport for "auto", "fast" or "standard", bound and not yet started.

    Raises InvalidSettings when the address cannot be bound, and for "fast" where the installed grpcio cannot do it.
    """
    if wanted == "standard":
        return StandardTransport(settings, methods, services)
    if wanted == "auto" and grpc.__version__ not in TESTED_VERSIONS:
        log.warning(
            "the fast transport was tested with grpcio %s, and this is %s: the standard transport serves, "
            "at a third of the speed for small calls; --transport fast tries all the same",
            ", ".join(TESTED_VERSIONS),
            grpc.__version__,
        )
        return StandardTransport(settings, methods, services)
    try:
        from convserve_server.transport.completion_queue import CompletionQueueTransport
    except (ImportError, AttributeError) as error:
        raise InvalidSettings(
            f"the fast transport does not work with grpcio {grpc.__version__} ({error}): "
            "start with --transport standard"
        ) from error
    return CompletionQueueTransport(settings, methods, services)

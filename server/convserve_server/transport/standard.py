"""The way in through grpc.server's public API: a thread of its pool carries each call from start to end."""

from __future__ import annotations

from collections.abc import Iterable

from convserve_server.calls import Method
from convserve_server.transport.carrier import Carrier
from convserve_server.transport.listening import Register, TransportSettings, bind, new_server


class StandardTransport:
    """A grpc.server that serves methods and whatever ``services`` register on it themselves.

    Raises InvalidSettings when the address cannot be bound.
    """

    def __init__(
        self, settings: TransportSettings, methods: Iterable[Method], services: Iterable[Register] = ()
    ) -> None:
        every = list(methods)
        self._carrier = Carrier(settings)
        self._server = new_server(settings, self._carrier.threads, every)
        self._carrier.add_methods(self._server, every)
        for register in services:
            register(self._server)
        self.port = bind(self._server, settings)

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self._carrier.start()

    def stop(self, grace: float) -> None:
        """Take no new calls, let accepted ones finish within ``grace`` seconds, cancel the rest. Returns when done."""
        self._server.stop(grace).wait()
        self._carrier.stop()

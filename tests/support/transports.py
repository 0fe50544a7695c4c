"""Handlers served by a transport on a free loopback port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from convserve_server.calls import Handler, Method
from convserve_server.transport.choice import Transport, make_transport
from convserve_server.transport.listening import TransportSettings

Serve = Callable[..., tuple[Transport, grpc.Channel]]


@contextmanager
def served(kind: str, settings: dict[str, Any], **handlers: Handler) -> Iterator[tuple[Transport, grpc.Channel]]:
    """A started transport with these handlers as hot methods of test.Service, and a channel to it."""
    methods = [Method(f"/test.Service/{name}", handler, hot=True) for name, handler in handlers.items()]
    transport = make_transport(kind, TransportSettings(listen="127.0.0.1:0", **settings), methods)
    transport.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{transport.port}", [("grpc.max_receive_message_length", -1)]) as channel:
            yield transport, channel
    finally:
        transport.stop(grace=1)


def method(channel: grpc.Channel, name: str) -> Any:
    """A callable for a method of test.Service, bytes in and out."""
    return channel.unary_unary(f"/test.Service/{name}", lambda b: b, lambda b: b)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another thread brings about; fails when it does not come."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.005)


def in_thread(*steps: Callable[[], object]) -> None:
    """Do these one after the other in a thread of their own."""

    def run() -> None:
        for step in steps:
            step()

    threading.Thread(target=run).start()

"""Fills a server's pools of threads at once, as a crowd would: else they fill up one by one, and look like growth."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import grpc
from convserve_client.bench.request import METHOD

from benchmarks.soak import streams
from benchmarks.soak.calls import Calls

_ROUNDS = 3
_HELD = 100
_HOLD = 1.0
"""Seconds in which their headers arrive."""
_CALLS = 300
_STREAMS = 20
_MESSAGES = 5
_PATIENCE = 60.0


def fill_pools(address: str, calls: Calls) -> None:
    """A crowd that comes a few times; what becomes of its calls is not looked at, for some are refused."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        unary: Any = channel.unary_unary(METHOD)
        streaming: Any = channel.stream_stream(streams.METHOD)
        _hold_calls(channel)
        for _ in range(_ROUNDS):
            with ExitStack() as open_streams:
                for _ in range(_STREAMS):
                    messages = [_body(calls) for _ in range(_MESSAGES)]
                    stream = streaming(iter(messages), timeout=_PATIENCE)
                    open_streams.callback(_read, stream)
                waiting = [unary.future(_body(calls), timeout=_PATIENCE) for _ in range(_CALLS)]
                for call in waiting:
                    with suppress(grpc.RpcError):
                        call.result()


def _hold_calls(channel: grpc.Channel) -> None:
    """Calls that send nothing for a while: of the standard transport each has a thread from its headers on.

    As many as a crowd may have open when the server was stopped and goes on. Calls that are answered share threads, as
    many as happen to be open at once.
    """
    opened: Any = channel.stream_unary(METHOD)
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(_PATIENCE)
        yield from ()

    held = [opened.future(nothing(), timeout=_PATIENCE) for _ in range(_HELD)]
    time.sleep(_HOLD)
    over.set()
    for call in held:
        with suppress(grpc.RpcError):
            call.result()


def _read(stream: Any) -> None:
    with suppress(grpc.RpcError):
        for _ in stream:
            pass


def _body(calls: Calls) -> bytes:
    content: bytes = calls.infer_request(2)[0].SerializeToString()
    return content

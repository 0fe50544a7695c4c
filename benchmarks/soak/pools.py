"""Fills a server's pools of threads at once, as a crowd would: else they fill up one by one, and look like growth."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import Any

import grpc
from convserve_client.bench.request import METHOD

from benchmarks.soak import streams
from benchmarks.soak.calls import Calls

_ROUNDS = 3
_CALLS = 300
_STREAMS = 20
_MESSAGES = 5
_PATIENCE = 60.0


def fill_pools(address: str, calls: Calls) -> None:
    """A crowd that comes a few times; what becomes of its calls is not looked at, for some are refused."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        unary: Any = channel.unary_unary(METHOD)
        streaming: Any = channel.stream_stream(streams.METHOD)
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


def _read(stream: Any) -> None:
    with suppress(grpc.RpcError):
        for _ in stream:
            pass


def _body(calls: Calls) -> bytes:
    content: bytes = calls.infer_request(2)[0].SerializeToString()
    return content

"""A server whose one method answers at once: what a call costs before any inference.

python -m benchmarks.echo_server fast|standard|aio HOST:PORT
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from convserve_server.grpc_core import tell_core

if sys.argv[1:2] != ["aio"]:
    tell_core()  # before grpc is imported, as convserve-server does

import grpc
from convserve_server.calls import Call, Method
from convserve_server.transport.choice import make_transport
from convserve_server.transport.listening import TransportSettings

PATH = "/convserve.benchmarks.Echo/Call"
REPLY = b"r" * 64


def answer(payload: bytes, call: Call) -> None:
    """Reply with a little, whatever came."""
    call.reply(REPLY)


def serve_transport(kind: str, listen: str) -> None:
    """Serve by one of convserve's transports until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # before threads start, which inherit it
    transport = make_transport(kind, TransportSettings(listen=listen), [Method(PATH, answer, hot=True)])
    transport.start()
    signal.sigwait([signal.SIGTERM])
    transport.stop(grace=1)


async def serve_aio(listen: str) -> None:
    """Serve by grpc.aio until SIGTERM."""

    async def handler(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return REPLY

    _, service, name = PATH.split("/")
    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(handler)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {name: method})])
    server.add_insecure_port(listen)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    kind, listen = sys.argv[1:]
    if kind == "aio":
        asyncio.run(serve_aio(listen))
    else:
        serve_transport(kind, listen)

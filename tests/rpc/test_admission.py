"""What a transport refuses, it refuses alike and before it reads the request: part of the conformance suite."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from convserve_server.calls import Call, Code, Refusal
from convserve_server.transport.choice import make_transport
from convserve_server.transport.listening import TransportSettings
from support.transports import Serve, method, served, wait_until

Metadata = Sequence[tuple[str, str | bytes]]
KEY = (("x-key", "sesame"),)


def admit(path: str, metadata: Metadata) -> Refusal | None:
    return None if ("x-key", "sesame") in metadata else (Code.UNAUTHENTICATED, "größer werden")


def echo(payload: bytes, call: Call) -> None:
    call.reply(payload)


def status(call: grpc.Future[bytes]) -> tuple[object, ...]:
    wait_until(call.done)
    assert isinstance(call, grpc.Call)
    return call.code(), call.details(), tuple(call.initial_metadata()), tuple(call.trailing_metadata())


def test_who_is_refused_hears_the_code_and_the_sentence_and_no_handler_runs(serve: Serve) -> None:
    ran: list[bytes] = []

    def note(payload: bytes, call: Call) -> None:
        ran.append(payload)
        call.reply(payload)

    _, channel = serve({"admit": admit}, Note=note)
    with pytest.raises(grpc.RpcError) as caught:
        method(channel, "Note")(b"refused", timeout=20)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "größer werden")
    assert method(channel, "Note")(b"admitted", timeout=20, metadata=KEY) == b"admitted"
    assert ran == [b"admitted"]


def test_admission_knows_the_path_of_every_call_also_of_those_that_are_not_there(serve: Serve) -> None:
    asked: list[str] = []

    def note(path: str, metadata: Metadata) -> Refusal | None:
        asked.append(path)
        return admit(path, metadata)

    _, channel = serve({"admit": note}, Echo=echo)
    for name in ("Echo", "Nothing"):
        assert status(method(channel, name).future(b"", timeout=20))[0] is grpc.StatusCode.UNAUTHENTICATED
    code = status(method(channel, "Nothing").future(b"", timeout=20, metadata=KEY))[0]
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert asked == ["/test.Service/Echo", "/test.Service/Nothing", "/test.Service/Nothing"]


def test_a_refused_call_is_not_read(serve: Serve) -> None:
    """Were it read, it would be over the size limit; and a caller who never sends it would hold a thread."""
    _, channel = serve({"admit": admit, "max_message_bytes": 100}, Echo=echo)
    assert status(method(channel, "Echo").future(b"x" * 200_000, timeout=20))[0] is grpc.StatusCode.UNAUTHENTICATED
    silent = threading.Event()

    def nothing() -> Iterator[bytes]:
        silent.wait(20)
        yield b""

    call = channel.stream_unary("/test.Service/Echo", lambda b: b, lambda b: b).future(nothing(), timeout=20)
    wait_until(call.done)
    assert call.code() is grpc.StatusCode.UNAUTHENTICATED
    silent.set()


def test_admitted_and_refused_calls_at_once_are_told_apart(serve: Serve) -> None:
    _, channel = serve({"admit": admit}, Echo=echo)
    futures = [
        method(channel, "Echo").future(str(n).encode(), timeout=30, metadata=KEY if n % 3 else ()) for n in range(300)
    ]
    wait_until(lambda: all(f.done() for f in futures), 30)
    for n, future in enumerate(futures):
        assert (future.code() is grpc.StatusCode.OK) == bool(n % 3)
        assert not n % 3 or future.result() == str(n).encode()


def test_an_admission_that_fails_lets_nobody_in(serve: Serve) -> None:
    def broken(path: str, metadata: Metadata) -> Refusal | None:
        raise RuntimeError("secret")

    ran: list[bytes] = []

    def note(payload: bytes, call: Call) -> None:
        ran.append(payload)
        call.reply(payload)

    _, channel = serve({"admit": broken}, Echo=note)
    code, sentence, *_ = status(method(channel, "Echo").future(b"", timeout=20, metadata=KEY))
    assert code is grpc.StatusCode.INTERNAL
    assert sentence == "internal error; the server's log says more"
    assert ran == []


def test_every_service_of_the_port_is_asked_about(kind: str) -> None:
    """Those that register themselves on grpc.server too, whatever kind of streams they have."""

    def register(server: grpc.Server) -> None:
        def talk(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from requests

        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "StreamStream": grpc.stream_stream_rpc_method_handler(talk),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(lambda request, context: iter([request])),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"".join(requests)),
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("own.Service", handlers),))

    transport = make_transport(kind, TransportSettings(listen="127.0.0.1:0", admit=admit), [], [register])
    transport.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{transport.port}") as channel, ThreadPoolExecutor(4):
            for name in ("StreamStream", "UnaryStream", "StreamUnary", "UnaryUnary"):
                call = channel.stream_stream(f"/own.Service/{name}", lambda b: b, lambda b: b)
                with pytest.raises(grpc.RpcError) as caught:
                    list(call(iter([b"hello"]), timeout=20))
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, name
                assert list(call(iter([b"hello"]), timeout=20, metadata=KEY)) == [b"hello"], name
    finally:
        transport.stop(1)


def test_both_transports_refuse_alike_to_the_byte() -> None:
    def heard(kind: str) -> list[object]:
        with served(kind, {"admit": admit}, Echo=echo) as (_, channel):
            return [status(method(channel, name).future(b"", timeout=20)) for name in ("Echo", "Nothing")]

    fast, standard = heard("fast"), heard("standard")
    assert fast == standard
    assert fast[0] == fast[1]

"""Connections, streams, headers and pings beyond their limits: each is cut, and others are served meanwhile."""

from __future__ import annotations

import time
from contextlib import ExitStack

import grpc
import pytest
from convserve_server.calls import Call, Handler
from convserve_server.transport.connections import ConnectionLimits
from support.http2 import RawClient
from support.transports import Serve, in_thread, method, wait_until

ECHO = "/test.Service/Echo"


def echo(payload: bytes, call: Call) -> None:
    call.reply(payload)


def test_connections_over_the_limit_are_closed_and_the_others_served(serve: Serve) -> None:
    transport, channel = serve({"connections": ConnectionLimits(max_connections=3)}, Echo=echo)
    assert method(channel, "Echo")(b"on", timeout=20) == b"on"
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(transport.port)) for _ in range(6)]
        for client in clients[:2]:
            stream = client.open_call(ECHO)
            client.send_message(stream, b"hello")
            client.wait_for(lambda c=client, s=stream: c.status(s) == (0, ""))  # type: ignore[misc]
        for client in clients[2:]:
            client.wait_for(lambda c=client: c.closed)  # type: ignore[misc]
        assert method(channel, "Echo")(b"still on", timeout=20) == b"still on"
    # Those that hang up make room.
    wait_until(lambda: _served(transport.port))


def _served(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            return bool(method(channel, "Echo")(b"x", timeout=1) == b"x")
        except grpc.RpcError:
            return False


def test_streams_over_the_limit_are_refused_and_others_served(serve: Serve) -> None:
    held: list[Call] = []
    transport, channel = serve({"connections": ConnectionLimits(max_streams=4)}, Hold=_holder(held), Echo=echo)
    with RawClient(transport.port) as client:
        client.wait_for(lambda: client.http.remote_settings.max_concurrent_streams == 4)
        # The client is told, and this one does not care.
        client.http.remote_settings._settings[3].append(100)
        client.http.remote_settings.acknowledge()
        streams = [client.open_call("/test.Service/Hold") for _ in range(8)]
        for stream in streams[4:]:
            client.wait_for(lambda s=stream: client.reset(s) or client.closed or client.goodbye is not None)  # type: ignore[misc]
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"
    for call in held:
        call.reply(b"")


def _holder(held: list[Call]) -> Handler:
    def hold(payload: bytes, call: Call) -> None:
        held.append(call)
        in_thread(lambda: wait_until(call.abandoned), lambda: call.reply(b""))

    return hold


def test_metadata_over_the_limit_is_refused_with_a_status_and_the_next_call_served(serve: Serve) -> None:
    _, channel = serve({"connections": ConnectionLimits(max_header_bytes=2000)}, Echo=echo)
    with pytest.raises(grpc.RpcError) as caught:
        method(channel, "Echo")(b"", timeout=20, metadata=(("x-long", "a" * 2000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert method(channel, "Echo")(b"on", timeout=20, metadata=(("x-long", "a" * 1000),)) == b"on"


def test_who_pings_too_often_is_disconnected_and_others_are_served(serve: Serve) -> None:
    transport, channel = serve({"connections": ConnectionLimits(min_ping_interval=5)}, Echo=echo)
    with RawClient(transport.port) as client:
        for _ in range(6):
            client.ping()
        client.wait_for(lambda: client.goodbye is not None)
        assert client.goodbye == b"too_many_pings"
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_who_pings_as_often_as_allowed_stays_connected(serve: Serve) -> None:
    """The name of the core's option is easily mistaken for another, which it ignores: then 5 minutes are allowed."""
    transport, _ = serve({"connections": ConnectionLimits(min_ping_interval=0.1)}, Echo=echo)
    with RawClient(transport.port) as client:
        for _ in range(6):
            client.ping()
            time.sleep(0.15)
        stream = client.open_call(ECHO)
        client.send_message(stream, b"hello")
        client.wait_for(lambda: client.status(stream) == (0, ""))
        assert client.goodbye is None


def test_a_client_that_answers_no_ping_is_found_dead_and_its_calls_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convserve_server.transport.connections.PING_TIMEOUT", 0.3)
    held: list[Call] = []
    transport, channel = serve({"connections": ConnectionLimits(keepalive=1.0)}, Hold=_holder(held), Echo=echo)
    with RawClient(transport.port) as client:
        client.send_message(client.open_call("/test.Service/Hold"), b"")
        wait_until(lambda: bool(held))
        # It reads nothing from here on, so it answers no ping: to the server it is as if its machine were gone.
        wait_until(held[0].abandoned, 30)
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_an_idle_connection_is_closed_with_a_goodbye(serve: Serve) -> None:
    transport, _ = serve({"connections": ConnectionLimits(max_idle=0.5)}, Echo=echo)
    with RawClient(transport.port) as client:
        client.wait_for(lambda: client.goodbye is not None)


def test_an_old_connection_is_closed_and_its_client_connects_anew_without_losing_a_call(serve: Serve) -> None:
    peers: list[str] = []

    def look(payload: bytes, call: Call) -> None:
        peers.append(call.peer)
        call.reply(payload)

    _, channel = serve({"connections": ConnectionLimits(max_age=0.5, age_grace=5)}, Look=look)
    wait_until(lambda: method(channel, "Look")(b"on", timeout=20) == b"on" and len(set(peers)) >= 2, 20)

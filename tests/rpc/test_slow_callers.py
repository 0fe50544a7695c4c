"""Callers that send nothing, half or a byte now and then, or do not read: they are let go, and others are served."""

from __future__ import annotations

import struct
import threading
import time
from typing import cast

import grpc
import pytest
from convserve_server.calls import Call, Code, Method
from convserve_server.load import Load
from convserve_server.rpc.health import Health
from convserve_server.transport.carrier import _Carried
from convserve_server.transport.choice import make_transport
from convserve_server.transport.listening import TransportSettings
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.http2 import RawClient
from support.transports import Serve, in_thread, method, served, wait_until

ECHO = "/test.Service/Echo"
CANCELLED = 1


def echo(payload: bytes, call: Call) -> None:
    call.reply(payload)


def ended(client: RawClient, stream: int) -> bool:
    return client.status(stream) is not None or client.reset(stream) or client.closed


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack(">BI", 0, 1000) + b"x" * 500], ids=["none", "2", "half"])
def test_who_sends_no_whole_message_is_let_go_and_others_are_served(serve: Serve, sent: bytes) -> None:
    load = Load(1 << 20)
    transport, channel = serve({"max_transfer_time": 0.8, "max_calls": 40, "load": load}, Echo=echo)
    with RawClient(transport.port) as client:
        streams = [client.open_call(ECHO) for _ in range(39)]
        for stream in streams:
            if sent:
                client.send(stream, sent)
        # More of them than there are threads, and the one place that is left serves.
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"
        for stream in streams:
            client.wait_for(lambda s=stream: ended(client, s))  # type: ignore[misc]
    assert load.refused["slow_request"] == 39
    for _ in range(50):
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_a_byte_now_and_then_wins_no_time(serve: Serve) -> None:
    transport, _ = serve({"max_transfer_time": 0.8}, Echo=echo)
    with RawClient(transport.port) as client:
        stream = client.open_call(ECHO)
        client.send(stream, struct.pack(">BI", 0, 1000))
        started = time.monotonic()
        while not ended(client, stream):
            assert time.monotonic() - started < 20
            if not client.events or not client.reset(stream):
                client.send(stream, b"x")
            try:
                client.wait_for(lambda: ended(client, stream), 0.2)
            except AssertionError:
                continue


def test_a_request_without_a_message_is_answered_at_once(serve: Serve) -> None:
    transport, _ = serve(Echo=echo)
    with RawClient(transport.port) as client:
        stream = client.open_call(ECHO, end=True)
        client.wait_for(lambda: client.status(stream) is not None)
        code, sentence = client.status(stream) or (0, "")
        assert code == grpc.StatusCode.UNIMPLEMENTED.value[0]
        assert sentence == "/test.Service/Echo takes exactly one request message, and none was sent"


def test_who_takes_no_answer_is_let_go_and_others_are_served(serve: Serve) -> None:
    load = Load(1 << 20)
    settings = {"max_transfer_time": 0.8, "max_calls": 10, "load": load}
    transport, channel = serve(settings, Big=lambda payload, call: call.reply(b"x" * 100_000), Echo=echo)
    with RawClient(transport.port, window=0) as client:
        for _ in range(9):
            client.send_message(client.open_call("/test.Service/Big"), b"give")
        assert method(channel, "Echo")(b"on", timeout=20) == b"on"
        wait_until(lambda: load.refused["slow_answer"] == 9, 30)
    wait_until(lambda: load.waiting_bytes == 0)
    assert method(channel, "Echo")(b"on", timeout=20) == b"on"


def test_a_slow_call_that_the_server_works_on_is_not_ended(serve: Serve) -> None:
    def slow(payload: bytes, call: Call) -> None:
        time.sleep(2.0)
        call.reply(b"done")

    _, channel = serve({"max_transfer_time": 0.4}, Slow=slow)
    assert method(channel, "Slow")(b"", timeout=20) == b"done"


def test_health_is_answered_at_once_by_a_server_that_takes_no_more_calls(kind: str) -> None:
    release = threading.Event()

    def hold(payload: bytes, call: Call) -> None:
        in_thread(lambda: release.wait(20), lambda: call.reply(b""))

    health = Health(["some.Service"])
    health.set({"": True})
    methods = [Method("/test.Service/Hold", hold, hot=True), Method("/test.Service/Cold", hold)]
    transport = make_transport(
        kind, TransportSettings(listen="127.0.0.1:0", max_calls=3, load=Load(1 << 20)), methods, [health.add_to]
    )
    transport.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{transport.port}") as channel:
            calls = [method(channel, name).future(b"", timeout=30) for name in ["Hold"] * 3 + ["Cold"] * 3]
            wait_until(lambda: _refused(channel, "Hold") and _refused(channel, "Cold"))
            stub = health_pb2_grpc.HealthStub(channel)
            started = time.monotonic()
            for _ in range(10):
                assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
            assert time.monotonic() - started < 5
            release.set()
            for call in calls:
                call.exception()
    finally:
        release.set()
        health.close()
        transport.stop(grace=5)


def test_health_is_answered_though_every_thread_that_reads_is_busy(kind: str) -> None:
    release = threading.Event()
    begun: list[Call] = []

    def long_run(payload: bytes, call: Call) -> None:
        begun.append(call)
        release.wait(30)
        call.reply(b"")

    health = Health([])
    health.set({"": True})
    settings = TransportSettings(listen="127.0.0.1:0", loops=2)
    transport = make_transport(kind, settings, [Method("/test.Service/Run", long_run, hot=True)], [health.add_to])
    transport.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{transport.port}") as channel:
            # Two loops, and the deputy.
            calls = []
            for number in range(3):
                calls.append(method(channel, "Run").future(b"", timeout=60))
                wait_until(lambda number=number: len(begun) > number)  # type: ignore[misc]
            stub = health_pb2_grpc.HealthStub(channel)
            for _ in range(3):
                assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
            assert not any(call.done() for call in calls)
            release.set()
            assert [call.result() for call in calls] == [b"", b"", b""]
    finally:
        release.set()
        health.close()
        transport.stop(grace=5)


def test_a_refusal_is_noted_for_who_reads_while_every_loop_is_busy() -> None:
    """The deputy of the fast way in looks more often while callers are refused: they want to hear of it."""

    def handler(payload: bytes, call: Call) -> None:
        if payload == b"full":
            call.fail(Code.RESOURCE_EXHAUSTED, "the queue is full")
        else:
            call.fail(Code.NOT_FOUND, "not here")

    load = Load(1000)
    with served("fast", {"load": load}, Do=handler) as (_, channel):
        for payload, refused in ((b"missing", False), (b"full", True)):
            method(channel, "Do").future(payload, timeout=20).exception()
            assert (time.monotonic() - load.last_refusal < 60) is refused


def _refused(channel: grpc.Channel, name: str) -> bool:
    call = method(channel, name).future(b"", timeout=0.5)
    call.exception()
    if call.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return False
    assert dict(call.trailing_metadata()) == {"grpc-retry-pushback-ms": "200"}
    return True


def test_health_is_answered_though_others_hold_its_calls_open(kind: str) -> None:
    health = Health([])
    health.set({"": True})
    transport = make_transport(kind, TransportSettings(listen="127.0.0.1:0"), [], [health.add_to])
    transport.start()
    try:
        with RawClient(transport.port) as client, grpc.insecure_channel(f"127.0.0.1:{transport.port}") as channel:
            for _ in range(500):
                client.open_call("/grpc.health.v1.Health/Check")
            client.open_call("/grpc.health.v1.Health/List")
            stub = health_pb2_grpc.HealthStub(channel)
            assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == 1
    finally:
        health.close()
        transport.stop(grace=1)


def test_requests_that_wait_are_bounded_in_bytes_and_all_is_given_back(serve: Serve) -> None:
    release = threading.Event()
    load = Load(10_000_000)

    def hold(payload: bytes, call: Call) -> None:
        in_thread(lambda: release.wait(20), lambda: call.reply(b""))

    _, channel = serve({"load": load}, Hold=hold)
    futures = [method(channel, "Hold").future(b"x" * 1_000_000, timeout=30) for _ in range(40)]
    wait_until(lambda: sum(f.done() for f in futures) == 30, 30)
    assert load.waiting_bytes == 10_000_000
    refused = [f for f in futures if f.done()]
    assert {f.code() for f in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert refused[0].details() == (
        "requests of 10,000,000 bytes wait for their answers, and with the 1,000,000 of this one they would be more "
        "than 10,000,000: try again later"
    )
    release.set()
    wait_until(lambda: load.waiting_bytes == 0)
    assert [f.code() for f in futures].count(grpc.StatusCode.OK) == 10


def test_a_call_that_is_over_before_its_request_is_looked_at_holds_no_bytes() -> None:
    """A caller that cancels just then ends the call between the two, on another thread."""
    load = Load(100)
    carried = _Carried(cast(grpc.ServicerContext, None), load)
    carried.over()
    assert carried.received(60)
    assert load.waiting_bytes == 0

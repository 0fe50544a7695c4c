"""ModelStreamInfer: many requests on one stream, answered in order; errors in-band, or as the end where asked for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.app import App
from convserve_server.calls import Call, Code, Method
from convserve_server.load import Load
from convserve_server.rpc import streaming
from convserve_server.rpc.streaming import StreamService
from support.artifacts import write_picky, write_sum
from support.requests import SERVICE, infer_request, outputs_of
from support.servers import running_app
from support.transports import wait_until


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    write_picky(tmp_path)
    with running_app(tmp_path, transport=kind) as app:
        yield app


@pytest.fixture
def channel(app: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


def stream(channel: grpc.Channel, messages: Iterable[Any], timeout: float = 20, **options: Any) -> Any:
    method: Any = channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        oip.ModelStreamInferResponse.FromString,
    )
    return method(iter(messages), timeout=timeout, **options)


def add(value: float, request_id: str = "", rows: int = 1) -> Any:
    array = np.full((rows, 2), value, np.float32)
    return infer_request("sum", {"a": array, "b": array}, id=request_id)


class Messages:
    """Messages that a test sends when it likes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.send = self._queue.put

    def end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._queue.get, None)


class HeldStream(NamedTuple):
    """An open stream, and the calls on it that came so far."""

    messages: Messages
    replies: Any
    held: list[Call]


def test_many_requests_in_flight_are_answered_in_their_order_each_with_its_own(channel: grpc.Channel) -> None:
    sent = [add(n, str(n), rows=1 + n % 70) for n in range(600)]
    replies = list(stream(channel, sent))
    assert [r.infer_response.id for r in replies] == [str(n) for n in range(600)]
    for n, reply in enumerate(replies):
        assert reply.error_message == ""
        assert reply.infer_response.parameters["triton_final_response"].bool_param
        total = outputs_of(reply.infer_response)["total"]
        assert total.shape == (1 + n % 70, 2)
        assert (total == 2 * n).all()


@pytest.mark.parametrize("settings", [{"max_queue_size": 70}, {"max_queue_size": 1}, {"max_waiting_bytes": 3000}])
def test_a_stream_is_slowed_down_rather_than_refused_for_what_it_has_sent_itself(
    kind: str, tmp_path: Path, settings: dict[str, int]
) -> None:
    """A caller that streams a file of requests does not know how fast the model is."""
    write_sum(tmp_path)
    with (
        running_app(tmp_path, transport=kind, **settings) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        replies = list(stream(channel, [add(n, str(n), rows=1 + n % 70) for n in range(300)]))
        assert [r.error_message for r in replies] == [""] * 300
        assert [r.infer_response.id for r in replies] == [str(n) for n in range(300)]


def test_an_answer_comes_as_soon_as_it_is_there(channel: grpc.Channel) -> None:
    messages = Messages()
    replies = stream(channel, messages)
    for n in range(5):
        messages.send(add(n))
        assert outputs_of(next(replies).infer_response)["total"][0, 0] == 2 * n
    messages.end()
    assert list(replies) == []
    assert replies.code() is grpc.StatusCode.OK


def test_an_error_is_a_message_with_the_id_and_the_stream_goes_on(channel: grpc.Channel) -> None:
    table = np.zeros((2, 2), np.float32)
    bad = [
        infer_request("nope", {}, id="unknown"),
        infer_request("sum", {"a": table}, id="an input is missing"),
        infer_request("picky", {"table": table, "index": np.array([7])}, id="fails in the run"),
        b"\xff\xff\xff",
    ]
    replies = list(stream(channel, [bad[0], add(1, "good"), *bad[1:], add(2, "good too")]))
    assert [r.infer_response.id for r in replies] == [
        "unknown",
        "good",
        "an input is missing",
        "fails in the run",
        "",
        "good too",
    ]
    sentences = [r.error_message for r in replies]
    assert (sentences[1], sentences[5]) == ("", "")
    for sentence, part in zip(
        (sentences[0], *sentences[2:5]),
        ("'nope' is not found", "expected 2 inputs but got 1", "the server's log says why", "no valid inference"),
        strict=True,
    ):
        assert part in sentence


def test_an_error_ends_the_stream_with_a_status_where_the_caller_asks_for_that(channel: grpc.Channel) -> None:
    messages = [add(1), infer_request("nope", {}), add(2)]
    replies = stream(channel, messages, metadata=(("triton_grpc_error", "true"),))
    assert outputs_of(next(replies).infer_response)["total"][0, 0] == 2
    with pytest.raises(grpc.RpcError) as caught:
        next(replies)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "'nope' is not found" in (caught.value.details() or "")


def test_a_caller_that_takes_no_answers_is_not_read_for_ever(kind: str, tmp_path: Path) -> None:
    taken = 0

    def messages() -> Iterator[Any]:
        nonlocal taken
        for taken in range(3000):
            yield add(taken, rows=1000)

    write_sum(tmp_path)
    # A run for each message: what is to be seen is who waits for whom, not how fast rows are run.
    with (
        running_app(tmp_path, transport=kind, max_batch_size=1000) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        replies = stream(channel, messages(), timeout=60)
        seen = -1
        while taken != seen:
            seen = taken
            time.sleep(0.3)
        assert taken < 2999
        assert [r.error_message for r in replies] == [""] * 3000


def test_streams_whose_callers_leave_are_gone_with_their_threads(app: App) -> None:
    before = threading.active_count()
    for _ in range(10):
        with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
            messages = Messages()
            replies = stream(channel, messages)
            for n in range(20):
                messages.send(add(n, rows=60))
            next(replies)
            replies.cancel()
            messages.end()
    wait_until(lambda: not any(t.name == "stream-read" for t in threading.enumerate()))
    # The pools keep their threads for the next ones.
    assert threading.active_count() - before <= 10 + 32


@contextmanager
def held_stream(load: Load, handler: Callable[[Call], None] = lambda call: None) -> Iterator[HeldStream]:
    """A stream whose messages nobody answers but the test."""
    held = list[Call]()

    def hold(payload: bytes, call: Call) -> None:
        held.append(call)
        handler(call)

    server = grpc.server(ThreadPoolExecutor(1))
    StreamService(Method(f"/{oip.SERVICE}/ModelStreamInfer", hold), load).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    messages = Messages()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield HeldStream(messages, stream(channel, messages), held)
    finally:
        messages.end()
        for call in held:
            # A stream ends when all that it took is answered.
            if getattr(call, "answer", None) is None:
                call.fail(Code.CANCELLED, "the test is over")
        server.stop(1).wait()


def the_reader() -> threading.Thread:
    """The thread that reads the one stream there is."""
    return next(t for t in threading.enumerate() if t.name == "stream-read")


def test_a_message_that_comes_when_its_caller_is_gone_holds_no_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read while as many as may be were in flight, and waited for its turn."""
    monkeypatch.setattr(streaming, "MOST_IN_FLIGHT", 3)
    load = Load(10_000)
    with held_stream(load) as (messages, replies, held):
        for _ in range(10):
            messages.send(b"x" * 100)
        wait_until(lambda: len(held) == 3)
        # The fourth is in the hands of the thread that reads, and is sent before the fifth is asked for.
        reader = the_reader()
        replies.cancel()
        wait_until(lambda: all(call.abandoned() for call in held))
        for call in list(held):
            call.fail(Code.CANCELLED, "gone")
        wait_until(lambda: not reader.is_alive())
        assert len(held) == 3
        assert load.waiting_bytes == 0


def test_a_message_waits_for_room_until_another_of_its_stream_is_answered_and_not_where_there_is_none() -> None:
    looked = queue.SimpleQueue[bool]()

    def look(call: Call) -> None:
        if len(held) == 3:
            looked.put(call.await_room())
            looked.put(call.await_room())
            looked.put(call.await_room())

    with held_stream(Load(10_000), look) as (messages, replies, held):
        for _ in range(3):
            messages.send(b"x")
        wait_until(lambda: len(held) == 3)
        assert looked.empty()
        # Answers are given in the order of the requests, but room is made by any of them.
        held[1].reply(b"")
        assert looked.get(timeout=10)
        assert looked.empty()
        held[0].reply(b"")
        assert looked.get(timeout=10)
        assert not looked.get(timeout=10)
        held[2].fail(Code.RESOURCE_EXHAUSTED, "no room")
        assert [next(replies).error_message for _ in range(3)] == ["", "", "no room"]


def test_who_waits_for_room_on_a_stream_whose_caller_has_left_goes_on() -> None:
    looked = queue.SimpleQueue[bool]()

    def look(call: Call) -> None:
        if len(held) == 2:
            looked.put(call.await_room())

    load = Load(10_000)
    with held_stream(load, look) as (messages, replies, held):
        messages.send(b"x")
        messages.send(b"x")
        wait_until(lambda: len(held) == 2)
        reader = the_reader()
        replies.cancel()
        assert not looked.get(timeout=10)
        for call in list(held):
            call.fail(Code.CANCELLED, "gone")
        wait_until(lambda: not reader.is_alive())
        assert load.waiting_bytes == 0


def test_a_stop_ends_open_streams_with_a_status_and_is_not_held_up(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path)
    with running_app(tmp_path, transport=kind) as app, grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        messages = Messages()
        replies = stream(channel, messages)
        messages.send(add(1))
        next(replies)
        started = time.monotonic()
        app.stop(grace=15)
        assert time.monotonic() - started < 5
        with pytest.raises(grpc.RpcError) as caught:
            next(replies)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        messages.end()

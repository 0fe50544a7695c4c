"""ModelStreamInfer: many requests on one stream, answered in order; errors in-band, or as the end where asked for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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


def stream(channel: grpc.Channel, messages: Iterable[Any], **options: Any) -> Any:
    method: Any = channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
        oip.ModelStreamInferResponse.FromString,
    )
    return method(iter(messages), timeout=20, **options)


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


def test_a_caller_that_takes_no_answers_is_not_read_for_ever(channel: grpc.Channel) -> None:
    taken = 0

    def messages() -> Iterator[Any]:
        nonlocal taken
        for taken in range(3000):
            yield add(taken, rows=1000)

    replies = stream(channel, messages())
    seen = -1
    while taken != seen:
        seen = taken
        time.sleep(0.3)
    assert taken < 2999
    assert sum(1 for _ in replies) == 3000


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


def test_a_message_that_comes_when_its_caller_is_gone_holds_no_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read while as many as may be were in flight, and waited for its turn."""
    monkeypatch.setattr(streaming, "MOST_IN_FLIGHT", 3)
    load, held = Load(10_000), list[Call]()

    def hold(payload: bytes, call: Call) -> None:
        held.append(call)

    server = grpc.server(ThreadPoolExecutor(1))
    StreamService(Method(f"/{oip.SERVICE}/ModelStreamInfer", hold), load).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            messages = Messages()
            replies = stream(channel, messages)
            for _ in range(10):
                messages.send(b"x" * 100)
            wait_until(lambda: len(held) == 3)
            # The fourth is in the hands of the thread that reads, and is sent before the fifth is asked for.
            reader = next(t for t in threading.enumerate() if t.name == "stream-read")
            replies.cancel()
            messages.end()
            wait_until(lambda: all(call.abandoned() for call in held))
            for call in list(held):
                call.fail(Code.CANCELLED, "gone")
            wait_until(lambda: not reader.is_alive())
            assert len(held) == 3
            assert load.waiting_bytes == 0
    finally:
        server.stop(1).wait()


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

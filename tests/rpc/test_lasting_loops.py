"""The loops of the fast way in outlive what a turn may meet: with the last one the server would be deaf."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from convserve_server.calls import Call
from convserve_server.load import Load
from convserve_server.transport.completion_queue import CompletionQueueTransport, _Call
from support.transports import method, served, wait_until


def test_a_call_that_cannot_be_watched_is_answered_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(payload: bytes, call: Call) -> None:
        call.reply(payload)

    watch, failures = _Call.watch, iter((1,))

    def failing(call: _Call) -> None:
        if next(failures, None):
            raise MemoryError("no room for an operation")
        watch(call)

    monkeypatch.setattr(_Call, "watch", failing)
    load = Load(1000)
    with served("fast", {"loops": 1, "load": load}, Echo=echo) as (transport, channel):
        assert isinstance(transport, CompletionQueueTransport)
        # What calls take is not known yet, so they are watched at once.
        with pytest.raises(grpc.RpcError) as caught:
            method(channel, "Echo")(b"x" * 10, timeout=20)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert method(channel, "Echo")(b"y", timeout=20) == b"y"
        wait_until(lambda: not transport.open_calls)
        assert load.waiting_bytes == 0


def test_loops_go_on_after_a_poll_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def echo(payload: bytes, call: Call) -> None:
        call.reply(payload)

    with served("fast", {"loops": 2}, Echo=echo) as (transport, channel):
        queue: Any = transport._queue  # type: ignore[attr-defined]
        read, failures = queue.read, iter(range(5))

        def failing(*deadline: float) -> Any:
            if next(failures, None) is not None:
                raise MemoryError("no room for an event")
            return read(*deadline)

        monkeypatch.setattr(queue, "read", failing)
        for n in range(20):
            assert method(channel, "Echo")(str(n).encode(), timeout=20) == str(n).encode()
        assert next(failures, None) is None
    assert "a loop failed, and goes on" in caplog.text

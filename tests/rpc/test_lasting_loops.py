"""The loops of the fast way in outlive what a turn may meet: with the last one the server would be deaf."""

from __future__ import annotations

from typing import Any

import pytest
from convserve_server.calls import Call
from support.transports import method, served


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

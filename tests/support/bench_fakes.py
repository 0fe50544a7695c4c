"""A server that answers when the test says so, on a clock that moves when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from convserve_client.bench.load import Reply


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.on_sleep: Callable[[float], None] | None = None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.on_sleep is not None:
            self.on_sleep(seconds)


class Call:
    """One call under way."""

    def __init__(self) -> None:
        self.status = "OK"
        self.payload = b"reply"
        self._callback: Callable[[Reply], None] | None = None

    def add_done_callback(self, callback: Callable[[Reply], None]) -> None:
        self._callback = callback

    def code(self) -> object:
        return SimpleNamespace(name=self.status)

    def result(self) -> bytes:
        return self.payload

    def finish(self, status: str = "OK", payload: bytes = b"reply") -> None:
        """Answer it."""
        self.status, self.payload = status, payload
        assert self._callback is not None
        self._callback(self)


class Server:
    """Collects calls."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []
        self.calls = 0

    def send(self) -> Call:
        self.calls += 1
        self.waiting.append(Call())
        return self.waiting[-1]

    def answer_all(self, status: str = "OK", payload: bytes = b"reply") -> None:
        """Answer what waits now; what is sent because of that waits."""
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call.finish(status, payload)

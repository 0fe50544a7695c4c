"""Counts calls by method and status code, around the handlers: neither they nor the transports know of it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from convserve_server.calls import Call, Code, Handler, Method


class CallCounts:
    """What became of the calls of one method."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._started = 0
        self._ended = [0] * len(Code)
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            self._started += 1

    def end(self, code: int) -> None:
        with self._lock:
            self._ended[code] += 1

    def now(self) -> tuple[int, dict[Code, int]]:
        """Calls in flight, and calls that have ended with each code that there was."""
        with self._lock:
            ended = {code: self._ended[code] for code in Code if self._ended[code]}
            return self._started - sum(ended.values()), ended


class _CountedCall:
    """A call that is counted when it is answered."""

    __slots__ = ("_call", "_counts", "abandoned", "deadline", "lead")

    def __init__(self, call: Call, counts: CallCounts) -> None:
        self._call, self._counts = call, counts
        # What is asked for in every call is handed over once.
        self.deadline, self.abandoned, self.lead = call.deadline, call.abandoned, call.lead

    @property
    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._call.metadata

    @property
    def peer(self) -> str:
        return self._call.peer

    @property
    def identities(self) -> tuple[bytes, ...]:
        return self._call.identities

    def reply(self, payload: bytes) -> None:
        self._call.reply(payload)
        self._counts.end(0)

    def fail(self, code: Code, message: str) -> None:
        self._call.fail(code, message)
        self._counts.end(code)


def counted(methods: Iterable[Method]) -> tuple[list[Method], list[CallCounts]]:
    """The same methods, and the counts that they keep from now on.

    Calls that the transport refuses, because too many are in flight, never get as far as a handler and are not counted.
    """
    found, counts = [], []
    for method in methods:
        count = CallCounts(method.path)
        counts.append(count)
        found.append(replace(method, handler=_counting(method.handler, count)))
    return found, counts


def _counting(handler: Handler, counts: CallCounts) -> Handler:
    def counting_handler(payload: bytes, call: Call) -> None:
        counts.start()
        handler(payload, _CountedCall(call, counts))

    return counting_handler

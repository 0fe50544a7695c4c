"""Counts calls by method and status code, and how long they took, around the handlers: these do not know of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from convserve_server.calls import Call, Code, Handler, Method, Notes
from convserve_server.engine.histogram import Histogram


class CallCounts:
    """What became of the calls of one method."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._started = 0
        self._ended = [0] * len(Code)
        self._times = Histogram()
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            self._started += 1

    def end(self, code: int, seconds: float) -> None:
        with self._lock:
            self._ended[code] += 1
            self._times.add(seconds)

    def refused(self, code: Code) -> None:
        """Count a call that the transport has answered itself; it took no time."""
        with self._lock:
            self._started += 1
            self._ended[code] += 1

    def times(self) -> Histogram:
        """How long calls took, from the handler's start to the answer."""
        times = Histogram()
        with self._lock:
            times.merge(self._times)
        return times

    def now(self) -> tuple[int, dict[Code, int]]:
        """Calls in flight, and calls that have ended with each code that there was."""
        with self._lock:
            ended = {code: self._ended[code] for code in Code if self._ended[code]}
            return self._started - sum(ended.values()), ended


class _CountedCall:
    """A call that is counted when it is answered."""

    __slots__ = ("_call", "_counts", "_started", "abandoned", "deadline", "lead")
    notes: Notes | None = None

    def __init__(self, call: Call, counts: CallCounts) -> None:
        self._call, self._counts = call, counts
        self._started = time.monotonic()
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

    def await_room(self) -> bool:
        return self._call.await_room()

    def reply(self, payload: bytes) -> None:
        # Before it is sent: who has an answer and then looks at the counts finds it there.
        self._counts.end(0, time.monotonic() - self._started)
        self._call.reply(payload)

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self._counts.end(code, time.monotonic() - self._started)
        self._call.fail(code, message, retry_after)


def counted(method: Method) -> tuple[Method, CallCounts]:
    """The same method, and the counts that it keeps from now on."""
    counts = CallCounts(method.path)
    return replace(method, handler=_counting(method.handler, counts), refused=counts.refused), counts


def _counting(handler: Handler, counts: CallCounts) -> Handler:
    def counting_handler(payload: bytes, call: Call) -> None:
        counts.start()
        handler(payload, _CountedCall(call, counts))

    return counting_handler

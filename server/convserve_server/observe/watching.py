"""Watches calls from their arrival to their answer, around the handlers, for the request log and for traces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from convserve_server.calls import Call, Code, Handler, Method, Notes


@dataclass(frozen=True, slots=True)
class Sighting:
    """A call that has ended. Moments on the clock of time.monotonic(), but for ``arrived_at``."""

    path: str
    """/package.Service/Method"""
    call: Call
    notes: Notes
    arrived: float
    arrived_at: int
    """On the wall clock, in nanoseconds since the epoch."""
    ended: float
    code: Code
    sentence: str
    """What the caller heard of an error; empty for an answer."""


Ended = Callable[[Sighting], None]


class Watcher(Protocol):
    """Somebody who wants to see calls."""

    def begin(self, path: str, call: Call, notes: Notes) -> Ended | None:
        """A call has arrived. What to tell its end, or None where this one is of no interest."""


class _WatchedCall:
    """A call whose end is told, after the answer was handed to the transport."""

    __slots__ = ("_arrived", "_arrived_at", "_call", "_ended", "_path", "abandoned", "deadline", "lead", "notes")

    def __init__(self, path: str, call: Call, notes: Notes, ended: Sequence[Ended]) -> None:
        self._path, self._call, self._ended = path, call, ended
        self.notes: Notes | None = notes
        self.deadline, self.abandoned, self.lead = call.deadline, call.abandoned, call.lead
        self._arrived, self._arrived_at = time.monotonic(), time.time_ns()

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
        self._call.reply(payload)
        self._tell(Code.OK, "")

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self._call.fail(code, message, retry_after)
        self._tell(code, message)

    def _tell(self, code: Code, sentence: str) -> None:
        notes, now = self.notes or Notes(), time.monotonic()
        sighting = Sighting(self._path, self._call, notes, self._arrived, self._arrived_at, now, code, sentence)
        for ended in self._ended:
            ended(sighting)


def watched(method: Method, watchers: Sequence[Watcher]) -> Method:
    """The same method, seen by ``watchers``; where there are none, the method itself."""
    if not watchers:
        return method
    return replace(method, handler=_watching(method.path, method.handler, watchers))


def _watching(path: str, handler: Handler, watchers: Sequence[Watcher]) -> Handler:
    def watching_handler(payload: bytes, call: Call) -> None:
        notes = Notes()
        ended = [e for w in watchers if (e := w.begin(path, call, notes)) is not None]
        handler(payload, _WatchedCall(path, call, notes, ended) if ended else call)

    return watching_handler

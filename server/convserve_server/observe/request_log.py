"""A line of the log for each call that has ended: what was asked, what came of it, and where the time went."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence

from convserve_server.calls import Call, Code, Notes
from convserve_server.observe.watching import Ended, Sighting

log = logging.getLogger(__name__)

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
Value = str | int | float


Metadata = Sequence[tuple[str, str | bytes]]
Whose = Callable[[Metadata], str]
"""The name of the token that a call came with; empty where it came without."""


def nobodys(metadata: Metadata) -> str:
    """There are no tokens."""
    return ""


class RequestLog:
    """Writes a line for every call, at level info. What the caller chose is made safe where lines are written."""

    def __init__(self, whose: Whose = nobodys) -> None:
        self._whose = whose

    def begin(self, path: str, call: Call, notes: Notes) -> Ended | None:
        """See Watcher.begin."""
        return self._write if log.isEnabledFor(logging.INFO) else None

    def _write(self, seen: Sighting) -> None:
        # Made by hand: log.info() looks through the stack for who called it, which costs more than the rest.
        record = logging.LogRecord(log.name, logging.INFO, __file__, 0, "request", None, None)
        vars(record)["fields"] = fields_of(seen, self._whose(seen.call.metadata))
        log.handle(record)


def fields_of(seen: Sighting, caller: str = "") -> dict[str, Value]:
    """What is written of a call; times in milliseconds. What is not known is left out."""
    notes = seen.notes
    fields: dict[str, Value] = {"id": notes.request_id, "peer": seen.call.peer, "method": seen.path[1:]}
    fields |= {"model": notes.model, "version": notes.version, "precision": notes.precision}
    fields = {name: value for name, value in fields.items() if value}
    fields["code"] = seen.code.name
    if notes.runs:
        ran = [run for run in notes.runs if run.started != math.inf]
        waited = [run.started - run.submitted if run in ran else run.seconds for run in notes.runs]
        fields |= {"rows": notes.rows, "queue_ms": _ms(max(waited))}
        if ran:
            fields |= {"batch_rows": max(run.batch_rows for run in ran)}
            fields |= {"inference_ms": _ms(sum(run.seconds for run in ran))}
    fields["total_ms"] = _ms(seen.ended - seen.arrived)
    if trace := notes.trace_id or trace_id(seen.call.metadata):
        fields["trace_id"] = trace
    if caller:
        fields["caller"] = caller
    if seen.code is not Code.OK:
        fields["error"] = seen.sentence
    return fields


def trace_id(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    """The caller's trace (W3C Trace Context); empty where there is none that is valid."""
    for key, value in metadata:
        if key == "traceparent" and isinstance(value, str) and (found := _TRACEPARENT.fullmatch(value)):
            return found[1] if found[1].strip("0") else ""
    return ""


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

"""Notes what a call is about, where somebody wants to know: which model, how many rows, and how their runs went."""

from __future__ import annotations

import math
import time

from convserve_server.calls import Call, Notes, Run
from convserve_server.engine.model import Answer, Model, Reply
from convserve_server.errors import Cancelled, DeadlineExceeded, InferenceFailed, QueueTimeout, ServerError

_LEFT_THE_QUEUE = (Cancelled, DeadlineExceeded, QueueTimeout)


def noted(call: Call, model: Model, rows: int, reply: Reply, request_id: str = "") -> Reply:
    """``reply``, or one that also notes the run, where the call's notes are wanted. For what is submitted next."""
    notes = call.notes
    if notes is None:
        return reply
    description = model.description
    notes.request_id, notes.model, notes.version = request_id, description.name, str(description.version)
    notes.precision, notes.provider = description.precision, model.provider
    notes.rows += rows
    submitted = time.monotonic()

    def note(result: Answer | ServerError) -> None:
        run = _run(result, submitted)
        if run is not None:
            notes.runs.append(run)
        reply(result)

    return note


def asked(call: Call, model_name: str, version: str, request_id: str = "") -> None:
    """Note what a call asks for, before it is known whether it is there."""
    notes: Notes | None = call.notes
    if notes is not None:
        notes.request_id, notes.model, notes.version = request_id, model_name, version


def _run(result: Answer | ServerError, submitted: float) -> Run | None:
    if isinstance(result, Answer):
        return Run(submitted, result.started, result.inference_seconds, result.batch_rows)
    if isinstance(result, _LEFT_THE_QUEUE):
        return Run(submitted, math.inf, time.monotonic() - submitted, 0)
    if isinstance(result, InferenceFailed):
        # Waiting and running together: a run that failed tells no times.
        return Run(submitted, submitted, time.monotonic() - submitted, 0)
    return None

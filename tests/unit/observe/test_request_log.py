"""The line of a call says what was asked, what came of it and where the time went."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from convserve_server.calls import Call, Code, Method, Run
from convserve_server.observe.request_log import RequestLog, fields_of, trace_id
from convserve_server.observe.watching import Sighting, watched
from support.watching import BareCall

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [r.__dict__["fields"] for r in caplog.records if r.getMessage() == "request"]


def answer(payload: bytes, call: Call) -> None:
    assert call.notes is not None
    notes = call.notes
    notes.request_id, notes.model, notes.version, notes.precision, notes.rows = "7", "sum", "2", "fp32", 3
    notes.runs.append(Run(10.0, 10.25, 0.5, 8))
    call.reply(payload)


def refuse(payload: bytes, call: Call) -> None:
    call.fail(Code.NOT_FOUND, "there is no such model")


def test_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call = BareCall(metadata=[("traceparent", PARENT)])
    watched(Method("/a.Service/Do", answer), [RequestLog()]).handler(b"x", call)
    assert call.answers == [b"x"]
    [line] = lines(caplog)
    assert line.pop("total_ms") >= 0
    assert line == {
        "id": "7",
        "peer": "ipv4:127.0.0.1:40112",
        "method": "a.Service/Do",
        "model": "sum",
        "version": "2",
        "precision": "fp32",
        "code": "OK",
        "rows": 3,
        "queue_ms": 250.0,
        "batch_rows": 8,
        "inference_ms": 500.0,
        "trace_id": TRACE,
    }


def test_an_error_has_its_code_and_its_sentence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched(Method("/a.Service/Do", refuse), [RequestLog()]).handler(b"", BareCall())
    [line] = lines(caplog)
    assert (line["code"], line["error"]) == ("NOT_FOUND", "there is no such model")
    assert "rows" not in line


def test_rows_that_left_the_queue_have_waited_and_were_not_run() -> None:
    call = BareCall()
    seen: list[Sighting] = []

    class Keep:
        def begin(self, path: str, call: Call, notes: Any) -> Any:
            return seen.append

    def late(payload: bytes, call: Call) -> None:
        assert call.notes is not None
        call.notes.runs.append(Run(1.0, math.inf, 0.125, 0))
        call.fail(Code.DEADLINE_EXCEEDED, "too late")

    watched(Method("/a.Service/Do", late), [Keep()]).handler(b"", call)
    fields = fields_of(seen[0])
    assert fields["queue_ms"] == 125.0
    assert "inference_ms" not in fields


def test_with_the_log_turned_down_nobody_watches(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    seen: list[Call] = []
    call = BareCall()
    watched(Method("/a.Service/Do", lambda payload, call: seen.append(call)), [RequestLog()]).handler(b"", call)
    assert seen == [call]


def test_without_watchers_the_method_is_itself() -> None:
    method = Method("/a.Service/Do", answer)
    assert watched(method, []) is method


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (PARENT, TRACE),
        (PARENT.replace("00-", "ff-"), ""),
        (PARENT.upper(), ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (PARENT + "-more", ""),
        ("\n" + PARENT, ""),
        ("", ""),
    ],
)
def test_a_trace_that_is_none_is_not_written(header: str, known: str) -> None:
    assert trace_id([("traceparent", header)]) == known


def test_a_caller_without_a_trace_has_none() -> None:
    assert trace_id([("traceparent-bin", b"x"), ("other", "y")]) == ""

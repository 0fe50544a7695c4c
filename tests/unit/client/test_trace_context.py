"""A call goes with the trace that the application is in, where it has one."""

from __future__ import annotations

import sys

import pytest
from convserve_client.trace_context import with_trace
from opentelemetry.sdk.trace import TracerProvider

GIVEN = (("x-team", "vision"),)


def test_the_current_span_is_handed_on() -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("mine") as span:
        context = span.get_span_context()
        sent = dict(with_trace(GIVEN))
    assert sent == {
        "x-team": "vision",
        "traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}",
    }


def test_what_is_set_by_hand_goes_first() -> None:
    given = (("traceparent", "00-by-hand"),)
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("mine"):
        assert with_trace(given) == given


def test_without_a_span_or_without_opentelemetry_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_trace(GIVEN) == GIVEN
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert with_trace(GIVEN) == GIVEN

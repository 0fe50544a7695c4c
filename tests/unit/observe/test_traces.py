"""Spans: the caller's trace goes on, through the queue and the run; what is not sampled is not watched."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
from convserve_server.calls import Call, Code, Handler, Method, Notes, Run
from convserve_server.errors import InvalidSettings
from convserve_server.observe import traces
from convserve_server.observe.watching import watched
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support.watching import BareCall

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parent(flags: str = "01") -> list[tuple[str, str | bytes]]:
    return [("traceparent", f"00-{TRACE}-{SPAN}-{flags}"), ("raw-bin", b"\xff")]


class Spans:
    """Calls handlers under tracing, and gives the spans by their names."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = traces.Tracing(SimpleSpanProcessor(self.exporter))

    def of(self, handler: Handler, call: BareCall) -> dict[str, ReadableSpan]:
        watched(Method("/a.Service/Do", handler), [self.tracing]).handler(b"", call)
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    for variable in ("OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(variable, raising=False)
    made = Spans()
    yield made
    made.tracing.close()


def run(payload: bytes, call: Call) -> None:
    notes = call.notes
    assert notes is not None
    now = time.monotonic()
    notes.request_id, notes.model, notes.version, notes.precision = "7\n", "sum", "2", "int8"
    notes.provider, notes.rows = "CPUExecutionProvider", 3
    notes.runs.append(Run(now, now + 0.25, 0.5, 8))
    call.reply(payload)


def test_the_callers_trace_goes_on_through_queue_and_run(spans: Spans) -> None:
    found = spans.of(run, BareCall(parent()))
    server, queue, inference = found["a.Service/Do"], found["queue"], found["inference"]
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {TRACE}
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == SPAN
    assert server.kind is SpanKind.SERVER
    for child in (queue, inference):
        assert child.parent is not None
        assert child.parent.span_id == server.context.span_id
    assert (queue.start_time, queue.end_time) is not None
    assert queue.end_time == inference.start_time
    assert ((queue.end_time or 0) - (queue.start_time or 0)) == pytest.approx(0.25e9)
    assert ((inference.end_time or 0) - (inference.start_time or 0)) == pytest.approx(0.5e9)


def test_spans_say_what_was_called_and_what_ran(spans: Spans) -> None:
    found = spans.of(run, BareCall())
    told = dict(found["a.Service/Do"].attributes or {})
    assert told == {
        "rpc.system": "grpc",
        "rpc.service": "a.Service",
        "rpc.method": "Do",
        "rpc.grpc.status_code": 0,
        "network.peer.address": "ipv4:127.0.0.1:40112",
        "convserve.model.name": "sum",
        "convserve.model.version": "2",
        "convserve.model.precision": "int8",
        "convserve.provider": "CPUExecutionProvider",
        "convserve.rows": 3,
        "convserve.request.id": "7\\n",
    }
    ran = dict(found["inference"].attributes or {})
    assert ran["convserve.batch.rows"] == 8
    assert ran["convserve.batch.id"]
    assert found["a.Service/Do"].resource.attributes["service.name"] == "convserve"


def test_all_of_a_batch_have_its_id(spans: Spans) -> None:
    def one_batch(payload: bytes, call: Call) -> None:
        assert call.notes is not None
        call.notes.runs.append(Run(1.0, 2.0, 0.5, 2))
        call.reply(b"")

    for _ in range(2):
        spans.of(one_batch, BareCall())
    ids = [
        s.attributes["convserve.batch.id"]
        for s in spans.exporter.get_finished_spans()
        if s.attributes and s.name == "inference"
    ]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("code", "failing"),
    [(Code.INVALID_ARGUMENT, False), (Code.CANCELLED, False), (Code.INTERNAL, True), (Code.DEADLINE_EXCEEDED, True)],
)
def test_an_error_is_the_servers_where_it_is(spans: Spans, code: Code, failing: bool) -> None:
    def fail(payload: bytes, call: Call) -> None:
        assert call.notes is not None
        call.notes.runs.append(Run(1.0, math.inf, 0.5, 0))
        call.fail(code, "it\nfailed")

    found = spans.of(fail, BareCall())
    assert set(found) == {"a.Service/Do", "queue"}
    status = found["a.Service/Do"].status
    assert status.status_code is (StatusCode.ERROR if failing else StatusCode.UNSET)
    assert status.description == ("it\\nfailed" if failing else None)
    assert (found["a.Service/Do"].attributes or {})["rpc.grpc.status_code"] == code


def test_what_the_caller_does_not_sample_is_handled_as_if_nobody_watched(spans: Spans) -> None:
    seen: list[object] = []
    call = BareCall(parent("00"))
    assert spans.of(lambda payload, call: seen.append(call), call) == {}
    assert seen == [call]


def test_the_standard_variables_say_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    spans = Spans()
    assert spans.of(lambda payload, call: None, BareCall()) == {}
    found = spans.of(run, BareCall(parent()))
    assert found["queue"].resource.attributes["service.name"] == "mine"


@pytest.mark.parametrize("header", ["", "00-" + "0" * 32 + f"-{SPAN}-01", "nonsense\n", f"00-{TRACE}"])
def test_a_trace_that_is_none_is_no_parent(spans: Spans, header: str) -> None:
    found = spans.of(run, BareCall([("traceparent", header)]))
    assert found["a.Service/Do"].parent is None


def test_the_trace_is_noted_for_the_log_even_where_it_is_not_sampled(spans: Spans) -> None:
    notes = Notes()
    assert spans.tracing.begin("/a.Service/Do", BareCall(parent("00")), notes) is None
    assert notes.trace_id == TRACE


def test_an_exporter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    with pytest.raises(InvalidSettings, match="finds no exporter 'carrier-pigeon'"):
        traces.tracing_by_environment()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "traces go to http://localhost:4317, OpenTelemetry's default"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, "traces go to http://collector:4317"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:2"},
            "traces go to http://traces:2",
        ),
    ],
)
def test_where_traces_go_is_said(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level("INFO", logger=traces.log.name):
        traces.tracing_by_environment().close()
    assert any(message.startswith(said) for message in caplog.messages)

"""What operators see of calls, on each transport: counts, lines of the log, and traces at a collector."""

from __future__ import annotations

import logging
import queue
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.access.tokens import Scope
from convserve_server.app import App
from prometheus_client.parser import text_string_to_metric_families
from support.artifacts import write_picky, write_sum
from support.otlp import Collector, collector
from support.requests import SERVICE, infer_request
from support.servers import call, running_app
from support.tokens import SECRETS, bearer, write_tokens
from support.transports import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
FORGED = "7\n2026-01-01 00:00:00,000 INFO    ready"
Settings = dict[str, Any]


@contextmanager
def app_and_channel(folder: Path, **settings: Any) -> Iterator[tuple[App, grpc.Channel]]:
    with (
        running_app(folder, **settings) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield app, channel


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_sum(tmp_path)
    write_picky(tmp_path)
    return tmp_path


def add(rows: int = 1, request_id: str = "") -> Any:
    array = np.ones((rows, 2), np.float32)
    return infer_request("sum", {"a": array, "b": array}, id=request_id)


def bad_run() -> Any:
    return infer_request("picky", {"table": np.zeros((2, 2), np.float32), "index": np.array([7])})


def infer(channel: grpc.Channel, request: Any, trace: str = "") -> grpc.StatusCode:
    method: Any = channel.unary_unary(SERVICE + "ModelInfer", lambda m: m.SerializeToString(), lambda b: b)
    metadata = (("traceparent", f"00-{trace}-b7ad6b7169203331-01"),) if trace else ()
    future = method.future(request, timeout=20, metadata=metadata)
    return future.code()  # type: ignore[no-any-return]


def stream(channel: grpc.Channel, requests: list[Any], trace: str = "") -> list[Any]:
    method: Any = channel.stream_stream(
        SERVICE + "ModelStreamInfer", lambda m: m.SerializeToString(), oip.ModelStreamInferResponse.FromString
    )
    metadata = (("traceparent", f"00-{trace}-b7ad6b7169203331-01"),) if trace else ()
    return list(method(iter(requests), timeout=20, metadata=metadata))


class Told:
    """What a server tells, asked for by name and labels."""

    def __init__(self, app: App) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{app.metrics_port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        self._samples = {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    def __call__(self, name: str, **labels: str) -> float:
        return self._samples[name, frozenset(labels.items())]


def calls(app: App, name: str, **labels: str) -> float:
    return Told(app)(f"convserve_{name}", service="inference.GRPCInferenceService", **labels)


def open_streams(app: App) -> float:
    return Told(app)("convserve_streams_open")


def request_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of every line of the request log."""
    return [r.__dict__["fields"] for r in list(caplog.records) if r.getMessage() == "request"]


def test_messages_of_streams_are_counted_as_calls(models: Path, kind: str) -> None:
    with app_and_channel(models, transport=kind, metrics="127.0.0.1:0") as (app, channel):
        assert len(stream(channel, [add(), add(), infer_request("nope", {})])) == 3
        assert calls(app, "calls_total", method="ModelStreamInfer", code="OK") == 2
        assert calls(app, "calls_total", method="ModelStreamInfer", code="NOT_FOUND") == 1
        assert calls(app, "call_seconds_count", method="ModelStreamInfer") == 3
        assert calls(app, "calls_in_flight", method="ModelStreamInfer") == 0
        wait_until(lambda: open_streams(app) == 0)


def test_an_open_stream_is_counted(models: Path, kind: str) -> None:
    messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    with app_and_channel(models, transport=kind, metrics="127.0.0.1:0") as (app, channel):
        method: Any = channel.stream_stream(SERVICE + "ModelStreamInfer", lambda b: b, lambda b: b)
        replies = method(iter(messages.get, None), timeout=20)
        wait_until(lambda: open_streams(app) == 1)
        messages.put(None)
        assert list(replies) == []
        wait_until(lambda: open_streams(app) == 0)


def test_why_requests_were_not_answered_is_told(models: Path, kind: str) -> None:
    settings = {"transport": kind, "metrics": "127.0.0.1:0", "max_request_rows": 4}
    of = {"version": "1", "precision": "fp32", "provider": "CPUExecutionProvider"}
    with app_and_channel(models, **settings) as (app, channel):
        assert infer(channel, add(rows=5)) is grpc.StatusCode.INVALID_ARGUMENT
        assert infer(channel, bad_run()) is grpc.StatusCode.INTERNAL
        told = Told(app)
        unanswered = "convserve_unanswered_requests_total"
        assert told(unanswered, model="sum", why="too_large", **of) == 1
        assert told(unanswered, model="picky", why="failed", **of) == 1
        for why in ("queue_full", "cancelled", "expired", "failed"):
            assert told(unanswered, model="sum", why=why, **of) == 0
        assert told("convserve_failed_runs_total", model="picky", **of) == 1
        assert told("convserve_ready") == 1


def test_calls_beyond_the_limit_are_counted_with_their_code(models: Path, kind: str) -> None:
    settings = {"transport": kind, "metrics": "127.0.0.1:0", "max_calls": 1}
    with app_and_channel(models, **settings) as (app, channel), ThreadPoolExecutor(16) as pool:

        def refused() -> bool:
            codes = set(pool.map(lambda _: infer(channel, add(rows=1000)), range(32)))
            return grpc.StatusCode.RESOURCE_EXHAUSTED in codes

        wait_until(refused, 30)
        assert calls(app, "calls_total", method="ModelInfer", code="RESOURCE_EXHAUSTED") >= 1


def test_each_call_is_a_line_that_nobody_can_forge(models: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines: list[dict[str, Any]] = []

    def written(number: int) -> None:
        # A line is written behind the answer.
        wait_until(lambda: len(request_lines(caplog)) == number)
        lines[:] = request_lines(caplog)

    with app_and_channel(models, transport=kind, log_requests=True) as (_, channel):
        assert infer(channel, add(2, FORGED), TRACE) is grpc.StatusCode.OK
        written(1)
        assert infer(channel, infer_request(FORGED, {})) is grpc.StatusCode.NOT_FOUND
        written(2)
        stream(channel, [add(3, "on a stream")])
        written(3)
        call(channel, SERVICE + "ServerLive", b"", oip.ServerLiveResponse)
        written(4)
    first, second, third, fourth = lines
    assert (first["id"], first["model"], first["version"]) == (FORGED, "sum", "1")
    assert (first["code"], first["rows"], first["batch_rows"], first["trace_id"]) == ("OK", 2, 2, TRACE)
    assert 0 < first["inference_ms"] <= first["total_ms"]
    assert first["peer"].startswith("ipv4:127.0.0.1:")
    assert (second["code"], second["model"]) == ("NOT_FOUND", FORGED)
    assert (third["method"], third["rows"]) == ("inference.GRPCInferenceService/ModelStreamInfer", 3)
    assert fourth["method"] == "inference.GRPCInferenceService/ServerLive"


@pytest.fixture
def collecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        for variable in ("OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED"):
            monkeypatch.delenv(variable, raising=False)
        yield made


def test_traces_reach_a_collector_with_queue_and_run(models: Path, kind: str, collecting: Collector) -> None:
    on_stream, failing = "1" * 32, "2" * 32
    with app_and_channel(models, transport=kind, traces=True) as (_, channel):
        assert infer(channel, add(2), TRACE) is grpc.StatusCode.OK
        assert infer(channel, add(2), "3" * 32) is grpc.StatusCode.OK  # recognized by its template
        assert infer(channel, bad_run(), failing) is grpc.StatusCode.INTERNAL
        stream(channel, [add(3)], on_stream)
    # What is left is exported when the server stops.
    assert collecting.services == {"convserve"}
    for trace, name, rows in (
        (TRACE, "ModelInfer", 2),
        ("3" * 32, "ModelInfer", 2),
        (on_stream, "ModelStreamInfer", 3),
    ):
        found = collecting.trace(trace)
        server = found.pop(f"inference.GRPCInferenceService/{name}")
        assert server.parent_span_id.hex() == "b7ad6b7169203331"
        assert set(found) == {"queue", "inference"}
        assert all(span.parent_span_id == server.span_id for span in found.values())
        inference = found["inference"]
        assert server.start_time_unix_nano <= found["queue"].start_time_unix_nano
        assert found["queue"].end_time_unix_nano == inference.start_time_unix_nano
        assert inference.end_time_unix_nano <= server.end_time_unix_nano
        told = {a.key: a.value.int_value or a.value.string_value for a in inference.attributes}
        assert (told["convserve.batch.rows"], told["convserve.model.name"]) == (rows, "sum")
    failed = collecting.trace(failing)["inference.GRPCInferenceService/ModelInfer"]
    assert failed.status.code == 2
    assert "the model failed on this request" in failed.status.message


def test_a_collector_that_is_not_there_harms_no_call_and_holds_up_no_stop(
    models: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with app_and_channel(models, transport=kind, traces=True) as (_, channel):
        assert infer(channel, add(2), TRACE) is grpc.StatusCode.OK


def test_a_line_names_the_token_and_never_tells_it(models: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tokens = write_tokens(models.parent / f"{models.name}.toml")
    with app_and_channel(models, transport=kind, log_requests=True, tokens=tokens) as (_, channel):
        method: Any = channel.unary_unary(SERVICE + "ModelInfer", lambda m: m.SerializeToString(), lambda b: b)
        assert method(add(), timeout=20, metadata=bearer(SECRETS[Scope.INFER]))
        wait_until(lambda: bool(request_lines(caplog)))
    [line] = request_lines(caplog)
    assert line["caller"] == "infer-only"
    assert SECRETS[Scope.INFER] not in repr(line)

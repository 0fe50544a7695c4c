"""OpenTelemetry: a span for each call, with its time in the queue and its run below. Goes on where the caller's ended.

What is exported, where to and which share of calls, is told by OpenTelemetry's own variables (OTEL_*).
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SERVICE_NAME,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_trace_id, set_span_in_context

from convserve_server.calls import Call, Code, Notes, Run
from convserve_server.errors import InvalidSettings
from convserve_server.observe.safe_text import safe
from convserve_server.observe.watching import Ended, Sighting

log = logging.getLogger(__name__)

LONGEST_VALUE = 256
LAST_EXPORT = 3.0
"""Seconds that a stop gives the exporter for its last spans."""
# The server's own failings, as the conventions for gRPC have it; the others are the caller's.
_FAILINGS = (
    Code.UNKNOWN,
    Code.DEADLINE_EXCEEDED,
    Code.UNIMPLEMENTED,
    Code.INTERNAL,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
)
_DEFAULTS = {"otlp_proto_grpc": "http://localhost:4317", "otlp_proto_http": "http://localhost:4318"}
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}

Metadata = Sequence[tuple[str, str | bytes]]


class _Metadata(Getter[Metadata]):
    """Reads what propagators ask for out of a call's metadata."""

    def get(self, carrier: Metadata, key: str) -> list[str] | None:
        return [v for k, v in carrier if k == key and isinstance(v, str)] or None

    def keys(self, carrier: Metadata) -> list[str]:
        return [k for k, _ in carrier]


_METADATA = _Metadata()


class Tracing:
    """Starts a span where a call arrives, and ends it with what is known by then. close() exports what is left."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("convserve", metadata.version("convserve"))
        self._propagator = propagate.get_global_textmap()
        self._fields = frozenset(self._propagator.fields)

    def begin(self, path: str, call: Call, notes: Notes) -> Ended | None:
        """See Watcher.begin. Calls that are not sampled are not watched any further."""
        span = self._tracer.start_span(path[1:], self._context(call.metadata), SpanKind.SERVER)
        notes.trace_id = format_trace_id(span.get_span_context().trace_id)
        return partial(self._ended, span) if span.is_recording() else None

    def _context(self, sent: Metadata) -> Context:
        # Most calls bring nothing, and a propagator takes its time to find that out.
        if any(key in self._fields for key, _ in sent):
            return self._propagator.extract(sent, Context(), _METADATA)
        return Context()

    def _ended(self, span: Span, seen: Sighting) -> None:
        for run in seen.notes.runs:
            self._add_run(span, seen, run)
        _, service, method = seen.path.split("/")
        span.set_attributes(
            {
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.grpc.status_code": int(seen.code),
                "network.peer.address": seen.call.peer,
                **_attributes(seen.notes),
            }
        )
        if seen.notes.request_id:
            span.set_attribute("convserve.request.id", safe(seen.notes.request_id, LONGEST_VALUE))
        if seen.code in _FAILINGS:
            span.set_status(Status(StatusCode.ERROR, safe(seen.sentence, LONGEST_VALUE)))
        span.end(_on_the_wall(seen, seen.ended))

    def _add_run(self, parent: Span, seen: Sighting, run: Run) -> None:
        """The time in the queue, and the run where there was one, as children."""
        context = set_span_in_context(parent, Context())
        ran = run.started != math.inf
        left = run.started if ran else run.submitted + run.seconds
        queue = self._tracer.start_span("queue", context, start_time=_on_the_wall(seen, run.submitted))
        queue.end(_on_the_wall(seen, left))
        if not ran:
            return
        attributes = _attributes(seen.notes) | {"convserve.batch.rows": run.batch_rows}
        # All that were run together have the same.
        attributes["convserve.batch.id"] = f"{os.getpid()}-{round(run.started * 1e9)}"
        start = _on_the_wall(seen, run.started)
        inference = self._tracer.start_span("inference", context, attributes=attributes, start_time=start)
        if seen.code is Code.INTERNAL:
            inference.set_status(Status(StatusCode.ERROR))
        inference.end(_on_the_wall(seen, run.started + run.seconds))

    def close(self) -> None:
        """Export what is left. A collector that does not answer holds up a stop for a moment only."""
        last = threading.Thread(target=self._provider.shutdown, name="traces-last", daemon=True)
        last.start()
        last.join(LAST_EXPORT)


def _attributes(notes: Notes) -> dict[str, str | int]:
    known: dict[str, str | int] = {
        "convserve.model.name": safe(notes.model, LONGEST_VALUE),
        "convserve.model.version": safe(notes.version, LONGEST_VALUE),
        "convserve.model.precision": notes.precision,
        "convserve.provider": notes.provider,
        "convserve.rows": notes.rows,
    }
    return {name: value for name, value in known.items() if value}


def _on_the_wall(seen: Sighting, moment: float) -> int:
    """A moment in nanoseconds since the epoch: the clock is read once a call, so that it cannot jump within one."""
    return seen.arrived_at + round((moment - seen.arrived) * 1e9)


def _resource() -> Resource:
    told = os.environ.get(OTEL_SERVICE_NAME) or "service.name=" in os.environ.get(OTEL_RESOURCE_ATTRIBUTES, "")
    return Resource.create({} if told else {"service.name": "convserve"})


def tracing_by_environment() -> Tracing:
    """Tracing as OTEL_* variables describe it. Raises InvalidSettings where that cannot be."""
    return Tracing(BatchSpanProcessor(_exporter()))


def _exporter() -> SpanExporter:
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() or "otlp"
    protocol = os.environ.get(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL) or os.environ.get(OTEL_EXPORTER_OTLP_PROTOCOL, "grpc")
    name = _PROTOCOLS.get(protocol, protocol) if wanted == "otlp" else wanted
    found = next(iter(entry_points(group="opentelemetry_traces_exporter", name=name)), None)
    if found is None:
        raise InvalidSettings(
            f"--traces finds no exporter '{name}', which OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL ask for: "
            "install the package that has it, or leave them out for OTLP over gRPC"
        )
    kind: Any = found.load()
    exporter: SpanExporter = kind()
    log.info("traces go to %s", safe(_destination(name), 200))
    return exporter


def _destination(exporter: str) -> str:
    told = os.environ.get(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) or os.environ.get(OTEL_EXPORTER_OTLP_ENDPOINT)
    if exporter not in _DEFAULTS:
        return f"the exporter {exporter}"
    return (
        told or f"{_DEFAULTS[exporter]}, OpenTelemetry's default: OTEL_EXPORTER_OTLP_ENDPOINT names another collector"
    )

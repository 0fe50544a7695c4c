"""What a run has measured, as text for people and as a document for scripts."""

from __future__ import annotations

from typing import Any

from convserve_client.bench.histogram import Histogram
from convserve_client.bench.plan import MOST_IN_FLIGHT
from convserve_client.bench.run import NOT_SENT, Result

PERCENTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
_BUSY = 0.85
"""Of a core: from here on the generator may be what limits the throughput."""
_LATE = 0.001
"""Seconds that a fixed rate's requests may be sent late before it is worth a word."""


def document(result: Result) -> dict[str, Any]:
    """Everything, with units in the names."""
    plan = result.plan
    return {
        "load": {
            "mode": "closed loop" if plan.rate is None else "fixed rate",
            "rate_per_second": plan.rate,
            "concurrency": plan.concurrency if plan.rate is None else None,
            "connections": plan.connections,
            "processes": plan.processes,
            "rows_per_request": plan.rows,
            "request_bytes": len(plan.body),
            "warm_up_seconds": plan.warm_up,
        },
        "seconds": result.seconds,
        "requests": result.requests,
        "requests_per_second": result.throughput,
        "rows_per_second": result.rows_per_second,
        "errors": dict(result.errors),
        "latency_ms": latencies(result.latency),
        "refusal_ms": latencies(result.refusal),
        "generator": {
            "cpu_us_per_request": result.generator_cpu * 1e6,
            "busiest_process": result.generator_load,
            "lag_ms": latencies(result.lag) if plan.rate is not None else None,
        },
    }


def latencies(histogram: Histogram) -> dict[str, float]:
    """Mean, percentiles and longest in milliseconds, by name; empty where nothing was counted."""
    if not histogram.count:
        return {}
    values = histogram.percentiles(PERCENTILES)
    named = {f"p{fraction * 100:g}": seconds * 1e3 for fraction, seconds in zip(PERCENTILES, values, strict=True)}
    return {"mean": histogram.mean * 1e3, **named, "max": histogram.longest * 1e3}


def text(result: Result) -> str:
    """A few lines."""
    plan = result.plan
    per_second = f"{result.throughput:,.0f}/s"
    if plan.rows > 1:
        per_second += f", {result.rows_per_second:,.0f} rows/s"
    lines = [
        _load(result),
        f"  requests   {result.requests:,} in {result.seconds:.2f} s: {per_second}",
        f"  errors     {_errors(result)}",
    ]
    if named := latencies(result.latency):
        lines.append("  latency    " + "  ".join(f"{name} {value:.3f}" for name, value in named.items()) + " ms")
    if named := latencies(result.refusal):
        lines.append("  refused in " + "  ".join(f"{name} {value:.3f}" for name, value in named.items()) + " ms")
    lines.append(
        f"  generator  {result.generator_cpu * 1e6:.0f} µs of CPU a call, "
        f"its busiest process at {result.generator_load:.0%} of a core"
    )
    return "\n".join([*lines, *(f"  note       {note}" for note in notes(result))])


def notes(result: Result) -> list[str]:
    """What a reader should know before believing the figures."""
    found = []
    if result.generator_load >= _BUSY:
        found.append("the generator is busy and may be the limit; try more --processes and --connections")
    if missed := result.errors[NOT_SENT]:
        found.append(
            f"{missed:,} requests were due and not sent, as {MOST_IN_FLIGHT:,} waited for their answers: this is more "
            "than the server does; try a lower --rate"
        )
    late = result.lag.percentile(0.99) if result.plan.rate is not None else 0.0
    if late > _LATE:
        found.append(
            f"1 % of the requests were sent {late * 1e3:.1f} ms or more after they were due; latency counts from when "
            "they were due, so it holds the delay of the generator too"
        )
    return found


def _load(result: Result) -> str:
    plan = result.plan
    how = f"{plan.concurrency} calls in flight" if plan.rate is None else f"{plan.rate:,.6g} requests a second"
    processes = f"{plan.processes} process" + "es" * (plan.processes > 1)
    connections = f"{plan.connections} connection" + "s" * (plan.connections > 1)
    rows = f"{plan.rows} row" + "s" * (plan.rows > 1)
    return f"{how}, {rows} a request ({len(plan.body):,} bytes), {connections} from {processes}"


def _errors(result: Result) -> str:
    if not result.errors:
        return "none"
    share = result.errors.total() / result.requests
    return f"{result.errors.total():,} ({share:.2%}): " + ", ".join(
        f"{code} {count:,}" for code, count in result.errors.most_common()
    )

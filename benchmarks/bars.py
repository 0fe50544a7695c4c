"""What convserve promises of its speed, and whether a measurement keeps it.

Every bar is computed within each round, so that what else the machine did in that minute cancels out; the verdict is on
the median over the rounds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Round = dict[str, Any]
"""What one round has measured: "echo", "servers" and "in_process", by name."""

MANY_ROWS = 32
LONE_ALLOWANCE_MS = 0.15


def value(measured: Round, *path: str) -> float | None:
    """One figure of a round; None where it was not measured."""
    for key in path:
        if not isinstance(measured, dict) or key not in measured:
            return None
        measured = measured[key]
    return float(measured)  # type: ignore[arg-type]


def medians(rounds: Sequence[Round], *path: str) -> float | None:
    """The median of one figure over the rounds that have it."""
    found = [v for r in rounds if (v := value(r, *path)) is not None]
    return median(found) if found else None


def ratio(measured: Round, above: tuple[str, ...], below: tuple[str, ...]) -> float | None:
    """One figure of a round over another."""
    a, b = value(measured, *above), value(measured, *below)
    return a / b if a is not None and b else None


@dataclass(frozen=True)
class Bar:
    """One promise."""

    workload: str
    bar: str
    """In words, with the limit."""
    measure: Callable[[Round], float | None]
    limit: float
    at_least: bool = False
    unit: str = ""

    def verdict(self, rounds: Sequence[Round]) -> Verdict:
        """Held against the median of the rounds that have it."""
        found = [v for r in rounds if (v := self.measure(r)) is not None]
        if not found:
            return Verdict(self.workload, self.bar, "not measured", None)
        middle = median(found)
        met = operator.ge(middle, self.limit) if self.at_least else operator.le(middle, self.limit)
        spread = f" ({min(found):.3g} to {max(found):.3g})" if len(found) > 1 else ""
        return Verdict(self.workload, self.bar, f"{middle:.3g}{self.unit}{spread}", met)


@dataclass(frozen=True)
class Verdict:
    """A bar, what was measured, and whether it is met; None where nothing was measured."""

    workload: str
    bar: str
    measured: str
    met: bool | None


def _fast(*path: str) -> tuple[str, ...]:
    return ("servers", "fast", *path)


def _over(server: str) -> Callable[[Round], float | None]:
    return lambda r: ratio(r, _fast("one", "throughput"), ("servers", server, "one", "throughput"))


def _lone(measured: Round) -> float | None:
    """p50 without the allowance, in times of the in-process run."""
    served, limit = value(measured, *_fast("lone", "p50")), value(measured, "in_process", "lone", "p50_ms")
    return (served - LONE_ALLOWANCE_MS) / limit if served is not None and limit else None


def _many(fast: str, alone: str) -> Callable[[Round], float | None]:
    def measure(measured: Round) -> float | None:
        found = ratio(measured, _fast("many", fast), ("in_process", "batch_32", alone))
        if found is None:
            return None
        return found * MANY_ROWS if fast == "throughput" else found / MANY_ROWS

    return measure


def _percent(measured: Round) -> float | None:
    idle = value(measured, *_fast("idle_cpu"))
    return None if idle is None else idle * 100


_ECHO, _ONE = "no inference, 4 x 8", "1 image a request, 4 x 8"
_MANY, _RATE = "32 images a request, 4 x 2", "fixed rate, 70 % of the highest"

BARS = (
    Bar(_ECHO, "server CPU a request <= 70 µs", lambda r: value(r, "echo", "fast", "one", "cpu_us"), 70, unit=" µs"),
    Bar(
        _ECHO,
        "CPU <= 1/3 of grpc.aio's",
        lambda r: ratio(r, ("echo", "fast", "one", "cpu_us"), ("echo", "aio", "one", "cpu_us")),
        1 / 3,
    ),
    Bar(_ONE, "throughput >= 2.3 x grpc.aio + batcher", _over("aio"), 2.3, at_least=True, unit=" x"),
    Bar(_ONE, "throughput >= 4 x KServe", _over("kserve"), 4, at_least=True, unit=" x"),
    Bar(_ONE, "throughput >= 6 x MLServer as it comes", _over("mlserver-plain"), 6, at_least=True, unit=" x"),
    Bar(_ONE, "throughput >= 6 x MLServer with batching", _over("mlserver"), 6, at_least=True, unit=" x"),
    Bar(
        _ONE,
        "throughput >= 0.62 of ONNX Runtime in process, batch 8",
        lambda r: ratio(r, _fast("one", "throughput"), ("in_process", "batch_8", "images_per_second")),
        0.62,
        at_least=True,
    ),
    Bar(_ONE, "throughput >= 1.25 x Triton", _over("triton"), 1.25, at_least=True, unit=" x"),
    Bar(
        _ONE,
        "p95 <= 0.7 of Triton's",
        lambda r: ratio(r, _fast("one", "p95"), ("servers", "triton", "one", "p95")),
        0.7,
    ),
    Bar("1 image, 1 at a time", "p50 <= 1.6 x in process + 0.15 ms", _lone, 1.6, unit=" x + 0.15 ms"),
    Bar(
        _MANY,
        "throughput >= 0.88 of ONNX Runtime in process, batch 32",
        _many("throughput", "images_per_second"),
        0.88,
        at_least=True,
    ),
    Bar(_MANY, "server CPU <= 1.10 x in process", _many("cpu_us", "cpu_us_per_image"), 1.10, unit=" x"),
    Bar(_RATE, "p99 <= 5 x p50", lambda r: ratio(r, _fast("rate", "p99"), _fast("rate", "p50")), 5, unit=" x"),
    Bar("idle", "CPU < 0.5 % of a core", _percent, 0.4999, unit=" %"),
    Bar("after load", "memory <= 160 MB", lambda r: value(r, *_fast("memory_mb")), 160, unit=" MB"),
    Bar("start", "ready in <= 1.0 s", lambda r: value(r, *_fast("ready_seconds")), 1.0, unit=" s"),
)

"""Verdicts of the benchmarks, from figures of rounds that were never run."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bars import BARS, Bar, medians, ratio, value
from benchmarks.picture import svg
from benchmarks.report import markdown


def served(throughput: float, **others: Any) -> dict[str, Any]:
    loop = {"throughput": throughput, "p50": 0.5, "p95": 1.0, "p99": 2.0, "cpu_us": 400.0}
    return {
        "one": loop,
        "lone": dict(loop),
        "many": {**loop, "throughput": throughput / 32, "cpu_us": 8000.0},
        **others,
    }


def a_round(fast: float = 5000.0, aio: float = 2000.0) -> dict[str, Any]:
    alone = {"images_per_second": 5000.0, "cpu_us_per_image": 250.0, "p50_ms": 0.25}
    return {
        "servers": {"fast": served(fast, memory_mb=100.0), "aio": served(aio)},
        "echo": {"fast": {"one": {"cpu_us": 50.0}}, "aio": {"one": {"cpu_us": 300.0}}},
        "in_process": {"batch_8": alone, "batch_32": alone, "lone": alone},
        "failures": {},
    }


def bar(words: str) -> Bar:
    (found,) = [b for b in BARS if words in b.bar]
    return found


def test_ratios_are_taken_within_a_round_and_the_median_decides() -> None:
    """A round on a machine that was twice as busy counts like any other."""
    rounds = [a_round(5000, 2000), a_round(2500, 1000), a_round(9000, 9000)]
    verdict = bar("grpc.aio + batcher").verdict(rounds)
    assert verdict.met is True
    assert verdict.measured == "2.5 x (1 to 2.5)"


def test_a_bar_that_is_missed_says_so() -> None:
    assert bar("grpc.aio + batcher").verdict([a_round(4000, 2000)]).met is False
    assert bar("memory").verdict([a_round()]).met is True


def test_what_was_not_measured_has_no_verdict() -> None:
    verdict = bar("KServe").verdict([a_round()])
    assert verdict.met is None
    assert verdict.measured == "not measured"


def test_the_bar_of_lone_requests_allows_a_fixed_part() -> None:
    assert bar("0.15 ms").measure(a_round()) == pytest.approx((0.5 - 0.15) / 0.25)


def test_batches_are_compared_by_image_in_throughput_and_in_cpu() -> None:
    assert bar("batch 32").measure(a_round()) == pytest.approx(1.0)
    assert bar("1.10 x").measure(a_round()) == pytest.approx(8000 / 32 / 250)


def test_figures_that_are_missing_are_none_and_not_an_error() -> None:
    assert value(a_round(), "servers", "kserve", "one") is None
    assert ratio(a_round(), ("servers", "fast", "one", "p50"), ("nothing",)) is None
    assert medians([{}, a_round(), {}], "servers", "fast", "one", "throughput") == 5000


def test_report_and_picture_show_every_server_and_every_bar() -> None:
    document = {
        "machine": {"cpu": "A & B", "cores": "2", "memory": "8 GiB", "system": "Linux", "python": "3.11", "grpc": "1"},
        "generator": "h2load",
        "servers": ["fast", "aio"],
        "skipped": {"kserve": "skipped: no network"},
        "rounds": [{**a_round(), "failures": {"aio": "it ended"}}],
    }  # fmt: skip
    text = markdown(document, [b.verdict(document["rounds"]) for b in BARS])  # type: ignore[arg-type]
    assert "| convserve, fast transport | 5,000 |" in text
    assert all(b.bar in text for b in BARS)
    assert "KServe: skipped: no network" in text
    assert "round 1: it ended" in text
    assert svg(document).count("<rect") == 1 + 2 * 3
    assert "A &amp; B" in svg(document)

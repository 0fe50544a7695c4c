"""What people and scripts read of a run."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from convserve_client.bench.histogram import Histogram
from convserve_client.bench.load import Tally
from convserve_client.bench.plan import Plan, shares, usual_connections
from convserve_client.bench.plot import png
from convserve_client.bench.report import document, notes, text
from convserve_client.bench.run import combine
from convserve_client.bench.worker import Report
from PIL import Image


def plan(**changes: object) -> Plan:
    return Plan(**{"link": {}, "method": "/s/m", "body": b"x" * 100, **changes})  # type: ignore[arg-type]


def report(latencies: list[float], *, end: float = 2.0, cpu: float = 0.1, **errors: int) -> Report:
    tally = Tally(errors=Counter(errors), last_answer=end)
    for seconds in latencies:
        tally.latency.record(seconds)
    return Report(tally, cpu_seconds=cpu, wall_seconds=1.0, calls=len(latencies), lost=0)


def test_reports_of_processes_add_up() -> None:
    result = combine(plan(rows=4, processes=2), [report([0.01] * 50), report([0.03] * 50, end=3.0)], begin=1.0)
    assert result.seconds == 2.0
    assert result.throughput == pytest.approx(50)
    assert result.rows_per_second == pytest.approx(200)
    assert result.latency.percentile(0.99) == pytest.approx(0.03, rel=0.01)
    assert result.generator_cpu == pytest.approx(0.002)


def test_failed_requests_are_shown_by_code_and_are_no_throughput() -> None:
    result = combine(plan(), [report([0.01] * 90, UNAVAILABLE=7, INTERNAL=3)], begin=1.0)
    assert result.requests == 100
    assert result.throughput == pytest.approx(90)
    assert "errors     10 (10.00%): UNAVAILABLE 7, INTERNAL 3" in text(result)
    assert document(result)["errors"] == {"UNAVAILABLE": 7, "INTERNAL": 3}


def test_calls_that_were_never_answered_are_errors() -> None:
    lost = Report(Tally(), cpu_seconds=0.1, wall_seconds=1.0, calls=0, lost=3)
    assert combine(plan(), [lost], begin=0.0).errors == {"NO_ANSWER": 3}


def test_the_document_is_json_and_holds_milliseconds() -> None:
    whole = json.loads(json.dumps(document(combine(plan(), [report([0.01] * 10)], begin=1.0))))
    assert whole["latency_ms"]["p50"] == pytest.approx(10, rel=0.01)
    assert whole["load"]["mode"] == "closed loop"


def test_a_busy_generator_says_so() -> None:
    assert not notes(combine(plan(), [report([0.01] * 10, cpu=0.5)], begin=1.0))
    (note,) = notes(combine(plan(), [report([0.01] * 10, cpu=0.95)], begin=1.0))
    assert "--processes" in note


def test_a_run_without_any_answer_can_be_shown() -> None:
    result = combine(plan(), [report([], end=0.0, UNAVAILABLE=4)], begin=1.0)
    assert "4 (100.00%): UNAVAILABLE 4" in text(result)
    assert document(result)["latency_ms"] == {}


@pytest.mark.parametrize("count", [1, 9, 1000])
def test_the_plot_is_a_picture_with_a_curve(count: int) -> None:
    histogram = Histogram()
    for number in range(count):
        histogram.record(0.001 + 0.00001 * number)
    picture = Image.open(io.BytesIO(png(histogram, "Latency", "of a test"))).convert("RGB")
    assert picture.format is None
    assert (24, 100, 171) in {color for _, color in picture.getcolors(1 << 24) or []}


def test_nothing_to_plot_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no request was answered"):
        png(Histogram(), "", "")


def test_work_is_shared_to_within_one() -> None:
    assert shares(10, 4) == [3, 3, 2, 2]
    assert usual_connections(None) == 4
    assert usual_connections(1) == 1

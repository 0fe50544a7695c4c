"""ModelStatistics counts what really happened, and its durations add up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from support.artifacts import write_picky, write_sum
from support.open_inference import ask, refused
from support.requests import infer_request
from support.servers import running_app


@pytest.fixture
def channel(kind: str, tmp_path: Path) -> Iterator[grpc.Channel]:
    for version in (1, 2):
        write_sum(tmp_path, version=version)
    (tmp_path / "sum" / "config.json").write_text('{"version_policy": {"all": {}}}')
    write_picky(tmp_path)
    with (
        running_app(tmp_path, transport=kind, max_batch_size=8, max_request_rows=20) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


def add(rows: int, version: str = "") -> Any:
    array = np.ones((rows, 2), np.float32)
    return infer_request("sum", {"a": array, "b": array}, model_version=version)


def statistics(channel: grpc.Channel, name: str = "", version: str = "") -> list[Any]:
    request = oip.ModelStatisticsRequest(name=name, version=version)
    return list(ask(channel, "ModelStatistics", request).model_stats)


def test_rows_runs_and_requests_are_counted_by_version(channel: grpc.Channel) -> None:
    before = time.time() * 1000
    for rows in (1, 1, 3):
        ask(channel, "ModelInfer", add(rows))
    ask(channel, "ModelInfer", add(2, "1"))
    (second,) = statistics(channel, "sum", "2")
    assert (second.inference_count, second.execution_count) == (5, 3)
    assert before - 1000 <= second.last_inference <= time.time() * 1000 + 1
    stats = second.inference_stats
    assert [d.count for d in (stats.success, stats.queue, stats.compute_infer, stats.fail)] == [3, 3, 3, 0]
    parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
    assert stats.success.ns == pytest.approx(sum(d.ns for d in parts), abs=4)
    assert stats.compute_infer.ns > 0
    assert [(b.batch_size, b.compute_infer.count) for b in second.batch_stats] == [(1, 2), (3, 1)]
    assert sum(b.compute_infer.ns for b in second.batch_stats) == pytest.approx(stats.compute_infer.ns, abs=4)
    (first,) = statistics(channel, "sum", "1")
    assert first.inference_count == 2
    assert [(s.name, s.version) for s in statistics(channel)] == [("picky", "1"), ("sum", "1"), ("sum", "2")]
    assert [s.version for s in statistics(channel, "sum")] == ["1", "2"]


def test_a_model_that_was_never_called_has_zeros(channel: grpc.Channel) -> None:
    (stats,) = statistics(channel, "picky")
    assert (stats.inference_count, stats.execution_count, stats.last_inference) == (0, 0, 0)
    assert list(stats.batch_stats) == []


def test_a_request_that_is_split_is_one_request_of_several_runs(channel: grpc.Channel) -> None:
    ask(channel, "ModelInfer", add(20))
    (stats,) = statistics(channel, "sum", "2")
    assert (stats.inference_count, stats.execution_count, stats.inference_stats.success.count) == (20, 3, 1)
    assert [(b.batch_size, b.compute_infer.count) for b in stats.batch_stats] == [(6, 1), (7, 2)]


def test_refused_and_failed_requests_are_failures(channel: grpc.Channel) -> None:
    table = np.zeros((2, 2), np.float32)
    refused(channel, "ModelInfer", infer_request("picky", {"table": table, "index": np.array([7])}))
    refused(channel, "ModelInfer", add(21))
    (picky,) = statistics(channel, "picky")
    assert (picky.inference_stats.fail.count, picky.inference_stats.success.count) == (1, 0)
    assert picky.inference_stats.fail.ns > 0
    (sums,) = statistics(channel, "sum", "2")
    assert sums.inference_stats.fail.count == 1


def test_an_unknown_model_or_version_is_not_found(channel: grpc.Channel) -> None:
    for request in (oip.ModelStatisticsRequest(name="nope"), oip.ModelStatisticsRequest(name="sum", version="9")):
        code, sentence = refused(channel, "ModelStatistics", request)
        assert code is grpc.StatusCode.NOT_FOUND
        assert "is not found" in sentence
    code, _ = refused(channel, "ModelStatistics", oip.ModelStatisticsRequest(name="sum", version="x"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT

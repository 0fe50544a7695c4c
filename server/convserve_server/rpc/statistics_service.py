"""ModelStatistics: what the models that are served have done since they were loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.engine.loading import LoadedModel
from convserve_server.engine.model import Model
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelStatistics, StatisticDuration


class CountingModels(Protocol):
    """Models that say what they have done."""

    def find(self, name: str, version: str = "") -> Model:
        """See Models.find."""

    def models(self) -> list[LoadedModel]:
        """Every served version, by name and version."""


class StatisticsService:
    """ModelStatistics."""

    def __init__(self, models: CountingModels) -> None:
        self._models = models

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods({"ModelStatistics": self._statistics})

    def _statistics(self, payload: bytes) -> Message:
        request = parse(oip.ModelStatisticsRequest, payload)
        if request.name:
            # Raises where there is no such model or version.
            self._models.find(request.name, request.version)
        response = oip.ModelStatisticsResponse()
        for model in self._models.models():
            description = model.description
            named = request.name in ("", description.name)
            if named and request.version in ("", str(description.version)):
                _fill(response.model_stats.add(), model)
        return response


def _fill(message: ModelStatistics, model: LoadedModel) -> None:
    """Everybody in a batch has its durations, as in Triton: queue, input, infer and output add up to success."""
    message.name, message.version = model.description.name, str(model.description.version)
    counts, dropped = model.batcher.counts, model.batcher.statistics
    if counts.last is not None:
        # On the wall clock, in milliseconds.
        message.last_inference = int((time.time() - model.batcher.seconds_since(counts.last)) * 1000)
    message.inference_count = counts.rows
    message.execution_count = sum(durations.count for durations in counts.batches.values())
    requests, stats = counts.requests, message.inference_stats
    seconds = counts.queueing + requests.gathering + requests.running + requests.delivering
    _set(stats.success, requests.count, seconds)
    _set(stats.fail, dropped.failed_requests + dropped.refused, dropped.failed_seconds)
    _set(stats.queue, requests.count, counts.queueing)
    _set(stats.compute_input, requests.count, requests.gathering)
    _set(stats.compute_infer, requests.count, requests.running)
    _set(stats.compute_output, requests.count, requests.delivering)
    for rows, durations in sorted(counts.batches.items()):
        batch = message.batch_stats.add(batch_size=rows)
        _set(batch.compute_input, durations.count, durations.gathering)
        _set(batch.compute_infer, durations.count, durations.running)
        _set(batch.compute_output, durations.count, durations.delivering)


def _set(message: StatisticDuration, count: int, seconds: float) -> None:
    message.count = count
    message.ns = max(0, round(seconds * 1e9))

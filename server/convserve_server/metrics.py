"""What Prometheus is told: read from the counts of calls and batchers when it asks, and from nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from convserve_server.counting import CallCounts
from convserve_server.engine.batcher import Statistics
from convserve_server.engine.histogram import BOUNDS, Histogram
from convserve_server.engine.loading import LoadedModel
from convserve_server.engine.statistics import Durations
from convserve_server.load import Load

METHOD = ("service", "method")
MODEL = ("model", "version", "precision", "provider")
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a server's figures come from. All are asked at each scrape, from any thread."""

    models: Callable[[], Sequence[LoadedModel]] = list
    calls: Sequence[CallCounts] = ()
    ready: Callable[[], bool] = bool
    refusals: Callable[[], int] = int
    """How many artifacts are refused."""
    streams: Callable[[], int] = int
    """How many streams are open."""
    load: Load = field(default_factory=lambda: Load(1))
    workers: int = 1
    """How many processes there are to be."""


class Metrics:
    """A registry of its own, so that two servers in one process do not mix."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(sources))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _ServerCollector(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        yield from _of_server(self._sources)
        yield from _of_calls(self._sources.calls)
        yield from _of_load(self._sources.load)
        yield from _of_models(self._sources.models())


def _of_server(sources: Sources) -> Iterator[Metric]:
    yield GaugeMetricFamily("convserve_ready", "Processes that answer inference calls now.", int(sources.ready()))
    yield GaugeMetricFamily("convserve_workers", "Processes that there are to be.", sources.workers)
    yield GaugeMetricFamily("convserve_refused_artifacts", "What is on disk and not served.", sources.refusals())
    yield GaugeMetricFamily("convserve_streams_open", "Streams of ModelStreamInfer.", sources.streams())
    yield GaugeMetricFamily("convserve_threads", "Threads that Python knows.", threading.active_count())


def _of_calls(calls: Iterable[CallCounts]) -> Iterator[Metric]:
    total = CounterMetricFamily("convserve_calls", "Calls that have ended.", labels=(*METHOD, "code"))
    flying = GaugeMetricFamily("convserve_calls_in_flight", "Calls not answered yet.", labels=METHOD)
    times = HistogramMetricFamily("convserve_call_seconds", "From the request's arrival to its answer.", labels=METHOD)
    for counts in calls:
        _, service, method = counts.path.split("/")
        in_flight, ended = counts.now()
        flying.add_metric((service, method), in_flight)
        for code, count in ended.items():
            total.add_metric((service, method, code.name), count)
        _add_durations(times, (service, method), counts.times())
    yield from (total, flying, times)


def _of_load(load: Load) -> Iterator[Metric]:
    held = GaugeMetricFamily("convserve_waiting_bytes", "Bytes of requests that are not answered yet.")
    held.add_metric((), load.waiting_bytes)
    refused = CounterMetricFamily(
        "convserve_calls_refused", "Calls that were refused or ended before a handler saw them.", labels=("reason",)
    )
    for reason, count in list(load.refused.items()):
        refused.add_metric((reason,), count)
    yield held
    yield refused


def _of_models(models: Iterable[LoadedModel]) -> Iterator[Metric]:
    info = GaugeMetricFamily("convserve_model_info", "Models that are served.", labels=MODEL)
    ready = GaugeMetricFamily("convserve_model_ready", "Processes in which the model can be relied on.", labels=MODEL)
    waiting = GaugeMetricFamily("convserve_queue_rows", "Rows that wait for a run.", labels=MODEL)
    rows = CounterMetricFamily("convserve_rows", "Rows that were run.", labels=MODEL)
    lost = CounterMetricFamily("convserve_unanswered_requests", "Requests without an answer.", labels=(*MODEL, "why"))
    failed = CounterMetricFamily("convserve_failed_runs", "Runs in which the model failed.", labels=MODEL)
    batches = HistogramMetricFamily("convserve_batch_rows", "Rows that were run together.", labels=MODEL)
    queue = HistogramMetricFamily("convserve_queue_seconds", "From submission to the run.", labels=MODEL)
    runs = HistogramMetricFamily("convserve_inference_seconds", "How long requests were run.", labels=MODEL)
    total = HistogramMetricFamily("convserve_request_seconds", "From submission to the reply.", labels=MODEL)
    for model in models:
        told = model.description
        of = (told.name, str(told.version), told.precision, model.provider)
        counts, statistics = model.batcher.counts, model.batcher.statistics
        info.add_metric(of, 1)
        ready.add_metric(of, int(not model.vitals.failing))
        waiting.add_metric(of, model.batcher.waiting_rows)
        rows.add_metric(of, counts.rows)
        failed.add_metric(of, statistics.failed_batches)
        for why, count in unanswered(statistics).items():
            lost.add_metric((*of, why), count)
        _add_batches(batches, of, counts.batches)
        for family, histogram in ((queue, counts.queue_times), (runs, counts.run_times), (total, counts.total_times)):
            _add_durations(family, of, histogram)
    yield from (info, ready, waiting, rows, lost, failed, batches, queue, runs, total)


def unanswered(statistics: Statistics) -> dict[str, int]:
    """Requests without an answer, by the reason. The engine never saw rows that were refused."""
    failed = statistics.failed_requests - statistics.cancelled - statistics.expired - statistics.waited
    return {
        "queue_full": statistics.refused - statistics.too_large,
        "too_large": statistics.too_large,
        "cancelled": statistics.cancelled,
        "expired": statistics.expired,
        "waited": statistics.waited,
        "failed": max(0, failed),
    }


def _add_durations(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    below, buckets = 0, []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], histogram.counts, strict=True):
        below += count
        buckets.append((bound, below))
    family.add_metric(labels, buckets, histogram.seconds)


def _add_batches(family: HistogramMetricFamily, labels: Sequence[str], batches: dict[int, Durations]) -> None:
    sizes = {rows: durations.count for rows, durations in list(batches.items())}
    buckets = [(str(bound), sum(n for rows, n in sizes.items() if rows <= bound)) for bound in BATCH_BOUNDS]
    buckets.append(("+Inf", sum(sizes.values())))
    family.add_metric(labels, buckets, sum(rows * n for rows, n in sizes.items()))

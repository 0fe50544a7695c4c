"""What Prometheus is told: read from the counts of calls and batchers when it asks, and from nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from convserve_server.counting import CallCounts
from convserve_server.engine.histogram import BOUNDS, Histogram
from convserve_server.engine.loading import LoadedModel
from convserve_server.engine.statistics import Durations

MODEL = ("model", "version")
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """A registry of its own, so that two servers in one process do not mix."""

    def __init__(self, models: Callable[[], Sequence[LoadedModel]], calls: Sequence[CallCounts]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ServerCollector(models, calls))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _ServerCollector(Collector):
    def __init__(self, models: Callable[[], Sequence[LoadedModel]], calls: Sequence[CallCounts]) -> None:
        self._models, self._calls = models, calls

    def collect(self) -> Iterator[Metric]:
        yield from _of_calls(self._calls)
        yield from _of_models(self._models())


def _of_calls(calls: Iterable[CallCounts]) -> Iterator[Metric]:
    total = CounterMetricFamily("convserve_calls", "Calls that have ended.", labels=("service", "method", "code"))
    flying = GaugeMetricFamily("convserve_calls_in_flight", "Calls not answered yet.", labels=("service", "method"))
    for counts in calls:
        _, service, method = counts.path.split("/")
        in_flight, ended = counts.now()
        flying.add_metric((service, method), in_flight)
        for code, count in ended.items():
            total.add_metric((service, method, code.name), count)
    yield total
    yield flying


def _of_models(models: Iterable[LoadedModel]) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "convserve_model_info", "Models that are served.", labels=(*MODEL, "provider", "precision")
    )
    waiting = GaugeMetricFamily("convserve_queue_rows", "Rows that wait for a run.", labels=MODEL)
    rows = CounterMetricFamily("convserve_rows", "Rows that were run.", labels=MODEL)
    lost = CounterMetricFamily("convserve_unanswered_requests", "Requests without an answer.", labels=(*MODEL, "why"))
    batches = HistogramMetricFamily("convserve_batch_rows", "Rows that were run together.", labels=MODEL)
    queue = HistogramMetricFamily("convserve_queue_seconds", "From submission to the run.", labels=MODEL)
    runs = HistogramMetricFamily("convserve_inference_seconds", "How long requests were run.", labels=MODEL)
    total = HistogramMetricFamily("convserve_request_seconds", "From submission to the reply.", labels=MODEL)
    for model in models:
        of = (model.description.name, str(model.description.version))
        counts, statistics = model.batcher.counts, model.batcher.statistics
        info.add_metric((*of, model.provider, model.description.precision), 1)
        waiting.add_metric(of, model.batcher.waiting_rows)
        rows.add_metric(of, counts.rows)
        for why in ("refused", "cancelled", "expired"):
            lost.add_metric((*of, why), getattr(statistics, why))
        failed = statistics.failed_requests - statistics.cancelled - statistics.expired
        lost.add_metric((*of, "failed"), max(0, failed))
        _add_batches(batches, of, counts.batches)
        for family, histogram in ((queue, counts.queue_times), (runs, counts.run_times), (total, counts.total_times)):
            _add_durations(family, of, histogram)
    yield from (info, waiting, rows, lost, batches, queue, runs, total)


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

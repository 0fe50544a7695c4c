"""One set of metrics for all workers: fetched from each, and added up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from convserve_server.observe.asking import ask

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a worker may take to tell its metrics."""
READY_PATIENCE = 0.5
"""Seconds that a worker may take to say whether it is ready: probes give up after one."""
_NOT_ADDED: dict[str, Callable[[Iterable[float]], float]] = {
    "convserve_model_info": max,
    "convserve_workers": max,
    "process_start_time_seconds": min,
    "process_max_fds": max,
}
_CUMULATIVE = ("counter", "histogram")

Key = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a sample."""


@dataclass
class _Family:
    kind: str
    help: str
    samples: dict[Key, list[float]] = field(default_factory=dict)
    """A value from each worker that has one."""


class WorkerMetrics:
    """What all workers have counted. Counts of workers that have ended stay in the sums, so that these never fall.

    Safe to use from several threads. ``fetch`` gets a worker's text by its port, ``ready`` whether it is.
    """

    def __init__(self, fetch: Callable[[int], str] | None = None, ready: Callable[[int], bool] | None = None) -> None:
        self._fetch, self._ask_ready = fetch or _fetch, ready or _ready
        self._ports: dict[int, int] = {}
        self._last: dict[int, list[Metric]] = {}
        self._ended: list[Metric] = []
        self._restarts = 0
        self._lock = threading.Lock()
        self._scraping = threading.Lock()

    def serving(self, worker: int, port: int) -> None:
        """A worker tells its metrics at this port from now on."""
        with self._lock:
            self._ports[worker] = port

    def ports(self) -> dict[int, int]:
        """Where each worker tells its metrics."""
        with self._lock:
            return dict(self._ports)

    def serves(self) -> bool:
        """Whether a worker answers inference calls now. One that does not say so in time is believed to."""
        return any(self._says_ready(port) for port in self.ports().values())

    def _says_ready(self, port: int) -> bool:
        try:
            return self._ask_ready(port)
        except OSError:
            return True

    def restarted(self) -> None:
        """A worker is started in place of one that ended."""
        with self._lock:
            self._restarts += 1

    def ended(self, worker: int) -> None:
        """A worker is gone. What it had counted when it was last asked still counts."""
        with self._lock:
            self._ports.pop(worker, None)
            last = self._last.pop(worker, [])
            self._keep(last)

    def _keep(self, families: Iterable[Metric]) -> None:
        """What is not counted any further stays in the sums. Called under the lock."""
        self._ended = list(_merged([self._ended, [m for m in families if m.type in _CUMULATIVE]]))

    def text(self) -> bytes:
        """The sums over all workers, in Prometheus's text format."""
        # One at a time: what was fetched first and noted last would look as if the counts had fallen, and be added.
        with self._scraping:
            self._fetch_all()
        with self._lock:
            families = list(_merged([self._ended, *self._last.values()]))
            restarts = CounterMetricFamily("convserve_worker_restarts", "Workers started again.", self._restarts)
        registry = CollectorRegistry()
        registry.register(_Given([*families, restarts]))
        return generate_latest(registry)

    def _fetch_all(self) -> None:
        for worker, port in self.ports().items():
            try:
                told = list(text_string_to_metric_families(self._fetch(port)))
            except (OSError, ValueError) as error:
                log.warning("worker %d does not tell its metrics, its last ones count: %s", worker, error)
                continue
            with self._lock:
                if self._ports.get(worker) == port:
                    # A model that was loaded anew counts from 0 again.
                    self._keep(_fallen(self._last.get(worker, []), told))
                    self._last[worker] = told


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def _merged(sets: Iterable[Iterable[Metric]]) -> Iterator[Metric]:
    """One family for each name; values of equal labels are added, but for the few for which that has no meaning."""
    found: dict[str, _Family] = {}
    for families in sets:
        for metric in families:
            family = found.setdefault(metric.name, _Family(metric.type, metric.documentation))
            for sample in metric.samples:
                key = (sample.name, tuple(sample.labels.items()))
                family.samples.setdefault(key, []).append(sample.value)
    for name, family in found.items():
        metric = Metric(name, family.help, family.kind)
        for (sample_name, labels), values in family.samples.items():
            metric.add_sample(sample_name, dict(labels), _NOT_ADDED.get(name, sum)(values))
        yield metric


def _fallen(before: Iterable[Metric], now: Iterable[Metric]) -> Iterator[Metric]:
    """Of what was counted before: the series that have begun again since, or are gone, such as a model's."""
    counts = {family.name: _counts(family) for family in now}
    for family in before:
        if family.type not in _CUMULATIVE:
            continue
        new = counts.get(family.name, {})
        old = _counts(family)
        gone = {labels for labels, count in old.items() if new.get(labels, -1.0) < count}
        if gone:
            kept = Metric(family.name, family.documentation, family.type)
            kept.samples = [s for s in family.samples if _without_bound(s.labels) in gone]
            yield kept


def _counts(family: Metric) -> dict[frozenset[tuple[str, str]], float]:
    """What each series of a counter or a histogram has counted, by its labels."""
    ends = "_count" if family.type == "histogram" else "_total"
    return {_without_bound(s.labels): s.value for s in family.samples if s.name.endswith(ends)}


def _without_bound(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    """Labels without that of a histogram's bucket: all its samples begin again together."""
    return frozenset((name, value) for name, value in labels.items() if name != "le")


def _fetch(port: int) -> str:
    return ask(port, "/metrics", PATIENCE)[1]


def _ready(port: int) -> bool:
    return ask(port, "/readyz", READY_PATIENCE)[0] == 200

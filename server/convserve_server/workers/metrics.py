"""One set of metrics for all workers: fetched from each, and added up."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a worker may take to tell its metrics."""
_NOT_ADDED: dict[str, Callable[[Iterable[float]], float]] = {
    "convserve_model_info": max,
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

    Safe to use from several threads. ``fetch`` gets a worker's text by its port.
    """

    def __init__(self, fetch: Callable[[int], str] | None = None) -> None:
        self._fetch = fetch or _fetch
        self._ports: dict[int, int] = {}
        self._last: dict[int, list[Metric]] = {}
        self._ended: list[Metric] = []
        self._lock = threading.Lock()

    def serving(self, worker: int, port: int) -> None:
        """A worker tells its metrics at this port from now on."""
        with self._lock:
            self._ports[worker] = port

    def ended(self, worker: int) -> None:
        """A worker is gone. What it had counted when it was last asked still counts."""
        with self._lock:
            self._ports.pop(worker, None)
            last = self._last.pop(worker, [])
            self._ended = list(_merged([self._ended, [m for m in last if m.type in _CUMULATIVE]]))

    def text(self) -> bytes:
        """The sums over all workers, in Prometheus's text format."""
        with self._lock:
            ports = dict(self._ports)
        for worker, port in ports.items():
            try:
                told = list(text_string_to_metric_families(self._fetch(port)))
            except (OSError, ValueError) as error:
                log.warning("worker %d does not tell its metrics, its last ones count: %s", worker, error)
                continue
            with self._lock:
                if self._ports.get(worker) == port:
                    self._last[worker] = told
        with self._lock:
            families = list(_merged([self._ended, *self._last.values()]))
        registry = CollectorRegistry()
        registry.register(_Given(families))
        return generate_latest(registry)


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


def _fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        return str(answer.read().decode())

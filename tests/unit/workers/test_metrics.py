"""The metrics of several workers are the sums of what each has counted, and sums never fall."""

from __future__ import annotations

from convserve_server.workers.metrics import WorkerMetrics
from prometheus_client.parser import text_string_to_metric_families

TEMPLATE = """# HELP convserve_rows_total Rows that were run.
# TYPE convserve_rows_total counter
convserve_rows_total{{model="sum",version="1"}} {rows}
# HELP convserve_queue_rows Rows that wait for a run.
# TYPE convserve_queue_rows gauge
convserve_queue_rows{{model="sum",version="1"}} {waiting}
# HELP convserve_model_info Models that are served.
# TYPE convserve_model_info gauge
convserve_model_info{{model="sum",version="1"}} 1
# HELP convserve_batch_rows Rows that were run together.
# TYPE convserve_batch_rows histogram
convserve_batch_rows_bucket{{le="1"}} {rows}
convserve_batch_rows_bucket{{le="+Inf"}} {rows}
convserve_batch_rows_count {rows}
convserve_batch_rows_sum {rows}
# HELP process_start_time_seconds Start.
# TYPE process_start_time_seconds gauge
process_start_time_seconds {started}
"""


class Workers:
    """What each tells, by its port."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.metrics = WorkerMetrics(self.fetch)

    def fetch(self, port: int) -> str:
        if port not in self.texts:
            raise ConnectionRefusedError(port)
        return self.texts[port]

    def tell(self, port: int, rows: int, waiting: int = 0, started: int = 100) -> None:
        self.texts[port] = TEMPLATE.format(rows=rows, waiting=waiting, started=started)

    def samples(self) -> dict[str, float]:
        families = text_string_to_metric_families(self.metrics.text().decode())
        return {s.name + s.labels.get("le", ""): s.value for family in families for s in family.samples}


def two() -> Workers:
    workers = Workers()
    for worker, port in ((1, 11), (2, 22)):
        workers.metrics.serving(worker, port)
    workers.tell(11, rows=5, waiting=3, started=100)
    workers.tell(22, rows=7, waiting=1, started=90)
    return workers


def test_counts_and_gauges_are_added() -> None:
    samples = two().samples()
    assert samples["convserve_rows_total"] == 12
    assert samples["convserve_queue_rows"] == 4
    assert samples["convserve_batch_rows_bucket1"] == 12
    assert samples["convserve_batch_rows_sum"] == 12


def test_what_has_no_sum_is_not_added() -> None:
    samples = two().samples()
    assert samples["convserve_model_info"] == 1
    assert samples["process_start_time_seconds"] == 90


def test_counts_of_a_worker_that_ended_stay_and_what_it_held_goes() -> None:
    workers = two()
    workers.samples()
    workers.metrics.ended(1)
    del workers.texts[11]
    samples = workers.samples()
    assert samples["convserve_rows_total"] == 12
    assert samples["convserve_queue_rows"] == 1
    workers.metrics.serving(1, 33)
    workers.tell(33, rows=2)
    assert workers.samples()["convserve_rows_total"] == 14


def test_a_worker_that_does_not_tell_counts_with_what_it_told_last() -> None:
    workers = two()
    workers.samples()
    del workers.texts[22]
    workers.tell(11, rows=6)
    assert workers.samples()["convserve_rows_total"] == 13


def test_counts_of_a_model_that_was_loaded_anew_stay_in_the_sums() -> None:
    workers = two()
    workers.samples()
    workers.tell(11, rows=2)
    samples = workers.samples()
    assert samples["convserve_rows_total"] == 5 + 7 + 2
    assert samples["convserve_batch_rows_sum"] == 5 + 7 + 2
    assert samples["convserve_batch_rows_bucket+Inf"] == 5 + 7 + 2
    workers.tell(11, rows=3)
    assert workers.samples()["convserve_rows_total"] == 5 + 7 + 3


def test_counts_of_a_model_that_is_gone_stay_in_the_sums() -> None:
    workers = two()
    workers.samples()
    workers.texts[11] = ""
    assert workers.samples()["convserve_rows_total"] == 5 + 7


def test_workers_that_were_started_again_are_counted() -> None:
    workers = two()
    assert workers.samples()["convserve_worker_restarts_total"] == 0
    workers.metrics.restarted()
    assert workers.samples()["convserve_worker_restarts_total"] == 1


def test_without_workers_only_their_restarts_are_told() -> None:
    text = WorkerMetrics().text().decode()
    assert [family.name for family in text_string_to_metric_families(text)] == ["convserve_worker_restarts"]

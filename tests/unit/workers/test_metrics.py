"""The metrics of several workers are the sums of what each has counted, and sums never fall."""

from __future__ import annotations

import socket
import threading
from typing import cast

import pytest
from convserve_server.metrics_endpoint import MetricsEndpoint
from convserve_server.observe.asking import ask
from convserve_server.observe.profile_page import ProfilePage, Wish, of_workers
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


def test_two_scrapes_at_once_count_nothing_twice() -> None:
    """The figures of the first come late: they must not look as if the worker had begun to count anew."""
    workers = two()
    workers.samples()
    other = threading.Thread(target=workers.samples)

    def fetch_slowly(port: int) -> str:
        text = workers.texts[port]
        if not other.ident:
            workers.tell(11, rows=6)
            other.start()
            other.join(0.1)  # it cannot end before this one
        return text

    workers.metrics._fetch = fetch_slowly
    workers.samples()
    other.join()
    assert workers.samples()["convserve_rows_total"] == 6 + 7


def test_no_proxy_of_the_environment_is_asked_for_what_a_worker_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not reach the worker, and would see an administrator's token."""
    asked: list[str | None] = []

    def profile(query: str, authorization: str | None) -> tuple[int, bytes, str]:
        asked.append(authorization)
        return 200, b"MainThread;f 3\n", "text/plain"

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    endpoint = MetricsEndpoint("127.0.0.1:0", lambda: b"", lambda: True, cast(ProfilePage, profile))
    endpoint.start()
    try:
        stacks = of_workers(lambda: {1: endpoint.port})(Wish(seconds=0.1), "Bearer it")
    finally:
        endpoint.stop()
    assert stacks == {("worker 1: MainThread", "f"): 3}
    assert asked == ["Bearer it"]


def test_a_worker_that_breaks_off_in_an_answer_is_one_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def tell_half() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        teller = threading.Thread(target=tell_half)
        teller.start()
        with pytest.raises(OSError, match="broke off"):
            ask(listener.getsockname()[1], "/metrics", 5)
        teller.join()


def test_workers_serve_as_long_as_one_says_so_or_says_nothing() -> None:
    says = {11: False, 22: False}

    def ready(port: int) -> bool:
        if port not in says:
            raise TimeoutError
        return says[port]

    metrics = WorkerMetrics(ready=ready)
    assert not metrics.serves()
    metrics.serving(1, 11)
    metrics.serving(2, 22)
    assert not metrics.serves()
    says[22] = True
    assert metrics.serves()
    says[22] = False
    del says[11]
    assert metrics.serves()

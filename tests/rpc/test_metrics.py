"""The metrics endpoint tells what really happened, and the probes tell how the server is."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from convserve_client import Client, ConvserveError, RetryPolicy
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.settings import Settings
from prometheus_client.parser import text_string_to_metric_families
from support.servers import running_app
from support.transports import wait_until

Samples = dict[tuple[str, frozenset[str]], float]
MODEL = frozenset({"simple_cnn", "1", "fp32", "CPUExecutionProvider"})


@pytest.fixture(scope="module")
def app(exported: Path) -> Iterator[App]:
    with running_app(exported, metrics="127.0.0.1:0") as app:
        yield app


@pytest.fixture
def client(app: App) -> Iterator[Client]:
    with Client(f"127.0.0.1:{app.port}", retry=RetryPolicy(attempts=1)) as client:
        yield client


def get(app: App, path: str) -> str:
    assert app.metrics_port is not None
    with urllib.request.urlopen(f"http://127.0.0.1:{app.metrics_port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def scrape(app: App) -> Samples:
    """Every sample, by its name and the values of its labels."""
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(get(app, "/metrics"))
        for sample in family.samples
    }


def test_calls_are_counted_by_method_and_code(app: App, client: Client) -> None:
    infer = ("inference.GRPCInferenceService", "ModelInfer")
    before = scrape(app)
    client.infer("simple_cnn", {"input": np.zeros((3, 3, 32, 32), np.float32)})
    with pytest.raises(ConvserveError):
        client.infer("no_such_model", {"input": np.zeros((1, 1), np.float32)})
    after = scrape(app)
    for code in ("OK", "NOT_FOUND"):
        key = ("convserve_calls_total", frozenset({*infer, code}))
        assert after[key] - before.get(key, 0) == 1
    assert after["convserve_calls_in_flight", frozenset(infer)] == 0


def test_a_request_is_in_each_histogram_of_its_model_and_version(app: App, client: Client) -> None:
    model = MODEL
    before = scrape(app)
    result = client.infer("simple_cnn", {"input": np.zeros((5, 3, 32, 32), np.float32)})
    # A run is counted behind its replies.
    counted = ("convserve_request_seconds_count", model)
    wait_until(lambda: scrape(app)[counted] > before[counted])
    after = scrape(app)
    for name in ("convserve_queue_seconds", "convserve_inference_seconds", "convserve_request_seconds"):
        assert after[f"{name}_count", model] - before[f"{name}_count", model] == 1
    for name, grown in (
        ("convserve_batch_rows_sum", 5),
        ("convserve_batch_rows_count", 1),
        ("convserve_rows_total", 5),
    ):
        assert after[name, model] - before[name, model] == grown
    assert after["convserve_batch_rows_bucket", model | {"4"}] == before["convserve_batch_rows_bucket", model | {"4"}]
    whole = after["convserve_request_seconds_sum", model] - before["convserve_request_seconds_sum", model]
    ran = after["convserve_inference_seconds_sum", model] - before["convserve_inference_seconds_sum", model]
    assert 0 < ran <= whole
    assert result.model_version == "1"


def test_the_provider_that_really_runs_a_model_is_told(app: App) -> None:
    assert scrape(app)["convserve_model_info", MODEL] == 1


def test_probes_over_http(app: App) -> None:
    assert get(app, "/healthz") == "live\n"
    assert get(app, "/readyz") == "ready\n"
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(app, "/")
    assert refused.value.code == 404
    assert refused.value.read() == b"there are /metrics, /healthz and /readyz\n"
    refused.value.close()


def test_not_ready_while_there_is_nothing_to_call(tmp_path: Path) -> None:
    with running_app(tmp_path, repository_mode="poll", metrics="127.0.0.1:0") as app:
        assert get(app, "/healthz") == "live\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(app, "/readyz")
        assert refused.value.code == 503
        refused.value.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"metrics": "9090"}, "the address for metrics is '9090'; give HOST:PORT"),
        ({"metrics": "192.0.2.1:9090"}, "cannot serve metrics on 192.0.2.1:9090: "),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    settings: dict[str, str | int], sentence: str, exported: Path
) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        App(Settings(repository=exported, listen="127.0.0.1:0", provider="cpu", **settings))

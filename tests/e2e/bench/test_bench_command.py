"""convserve bench as a user runs it: in processes of its own, against real servers, with a handful of requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from convserve_proto import open_inference as oip
from PIL import Image
from support.artifacts import write_sum
from support.fake_server import FakeServer, running
from support.servers import running_app


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("repository")
    write_sum(repository)
    with running_app(repository) as app:
        yield f"127.0.0.1:{app.port}"


def bench(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convserve_client", "bench", *map(str, arguments), "--server", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_closed_loop_over_two_processes_sends_exactly_what_was_asked_for(address: str, tmp_path: Path) -> None:
    done = bench(
        address, "sum", "--requests", "101", "--warm-up", "0", "--concurrency", "4", "--processes", "2", "--rows", "3",
        "--connections", "3", "--self-check", "--plot", tmp_path / "latency.png", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["requests"] == 101
    assert result["errors"] == {}
    assert result["load"]["rows_per_request"] == 3
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"] <= result["latency_ms"]["max"]
    with Image.open(tmp_path / "latency.png") as picture:
        assert picture.width > 800


def test_a_fixed_rate_sends_that_many_a_second_and_tells_it_as_text(address: str) -> None:
    done = bench(address, "sum", "--rate", "100", "--duration", "0.5", "--warm-up", "0.1")
    assert done.returncode == 0, done.stderr
    assert "100 requests a second" in done.stdout
    assert "requests   50 in" in done.stdout
    assert "errors     none" in done.stdout


def test_an_unknown_model_is_a_sentence_before_any_load(address: str) -> None:
    done = bench(address, "nope")
    assert done.returncode == 1
    assert "nope" in done.stderr
    assert "NOT_FOUND" in done.stderr


def test_options_that_do_not_go_together_are_a_sentence(address: str) -> None:
    done = bench(address, "sum", "--concurrency", "2", "--connections", "4")
    assert done.returncode == 2
    assert "every connection a call" in done.stderr


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with running() as server:
        server.answers["ModelInfer"] = _logits
        yield server


def _logits(request: bytes) -> bytes:
    rows = oip.ModelInferRequest.FromString(request).inputs[0].shape[0]
    response = oip.ModelInferResponse(model_name="cnn", raw_output_contents=[b"\0" * 40 * rows])
    response.outputs.add(name="logits", datatype="FP32", shape=[rows, 10])
    return response.SerializeToString()


def test_failures_are_counted_by_status_and_give_exit_code_1(fake: FakeServer) -> None:
    replies = iter(range(10**6))

    def mostly(request: bytes) -> bytes:
        if next(replies) in (5, 9):
            return b"\xff not a message, and of another length"
        return _logits(request)

    fake.answers["ModelInfer"] = mostly
    done = bench(fake.target, "cnn", "--requests", "20", "--warm-up", "0", "--self-check", "--json")
    assert json.loads(done.stdout)["errors"] == {"WRONG_SIZE": 2}
    assert done.returncode == 1


def test_a_reply_that_breaks_the_metadata_s_promise_ends_it_before_any_load(fake: FakeServer) -> None:
    fake.answers["ModelInfer"] = lambda request: oip.ModelInferResponse(model_name="cnn").SerializeToString()
    done = bench(fake.target, "cnn")
    assert done.returncode == 1
    assert "no output 'logits'" in done.stderr
    assert fake.count("ModelInfer") == 1

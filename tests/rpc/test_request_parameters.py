"""Parameters of requests and outputs: timeout, priority, classification; what is refused, and how."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.app import App
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.requests import SERVICE, infer_request, outputs_of, parameter
from support.servers import running_app

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    (tmp_path / "sum" / "names.txt").write_text("left\nright\n")
    config = '{"output": [{"name": "total", "label_filename": "names.txt"}]}'
    (tmp_path / "sum" / "config.json").write_text(config)
    write_sum(tmp_path, name="impatient")
    policy = '{"default_timeout_microseconds": 1000, "allow_timeout_override": false}'
    (tmp_path / "impatient" / "config.json").write_text(f'{{"dynamic_batching": {{"default_queue_policy": {policy}}}}}')
    with running_app(tmp_path, transport=kind, instances=1, threads=1) as app:
        yield app


@pytest.fixture
def channel(app: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


class Busy:
    """Holds a model's only run slot for as long as it is entered."""

    def __init__(self, app: App, name: str) -> None:
        model: Any = app.repository.find(name)
        self._slots = model.batcher._idle

    def __enter__(self) -> None:
        self._held = self._slots.pop()

    def __exit__(self, *details: object) -> None:
        self._slots.append(self._held)


def request(model: str = "sum", **parameters: Any) -> Any:
    array = np.array([[3, 4], [2, 1]], np.float32)
    message = infer_request(model, {"a": array, "b": 0 * array})
    for name, value in parameters.items():
        message.parameters[name].MergeFrom(value if isinstance(value, oip.InferParameter) else parameter(value))
    return message


def wanting(**parameters: Any) -> Any:
    message = request()
    output = message.outputs.add(name="total")
    for name, value in parameters.items():
        output.parameters[name].MergeFrom(parameter(value))
    return message


@pytest.mark.parametrize("model", ["sum", "impatient"])
def test_a_request_that_waited_longer_than_its_timeout_is_unavailable(
    app: App, channel: grpc.Channel, model: str
) -> None:
    infer: Any = channel.unary_unary(SERVICE + "ModelInfer", lambda m: m.SerializeToString(), lambda b: b)
    # The one brings a timeout, the other's model has one, and does not let requests bring another.
    message = request(model, timeout=1000 if model == "sum" else 60_000_000)
    with Busy(app, model):
        waiting = infer.future(message, timeout=20)
        time.sleep(0.3)
    app.repository.find(model).lead()
    assert waiting.code() is grpc.StatusCode.UNAVAILABLE
    assert "Request timeout expired" in waiting.details()
    assert ask(channel, "ModelInfer", request(model)).model_name == model


def test_the_urgent_go_first(app: App, channel: grpc.Channel) -> None:
    infer: Any = channel.unary_unary(SERVICE + "ModelInfer", lambda m: m.SerializeToString(), lambda b: b)
    answered: list[str] = []
    done = threading.Semaphore(0)
    futures = []
    model: Any = app.repository.find("sum")
    with Busy(app, "sum"):
        for number, level in enumerate([0, 9, 1]):
            # Of 20 rows, so that no two fit into one run of 32.
            array = np.ones((20, 2), np.float32)
            message = infer_request("sum", {"a": array, "b": array})
            if level:
                message.parameters["priority"].uint64_param = level
            future = infer.future(message, timeout=20)

            def note(_: Any, level: int = level) -> None:
                answered.append(str(level))
                done.release()

            future.add_done_callback(note)
            futures.append(future)
            limit = time.monotonic() + 10
            while model.batcher.waiting_rows < 20 * (number + 1):
                assert time.monotonic() < limit
                time.sleep(0.01)
    # One batch at a time: answers that are sent one after the other may be noted in another order.
    for _ in futures:
        model.lead(1)
        assert done.acquire(timeout=10)
    assert answered == ["1", "0", "9"]


def test_classes_come_as_text_with_labels_beside_other_outputs(channel: grpc.Channel) -> None:
    message = wanting(classification=2)
    message.outputs.add(name="difference")
    response = ask(channel, "ModelInfer", message)
    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("BYTES", [2, 2])
    outputs = outputs_of(response)
    assert outputs["total"].tolist() == [
        [b"4.000000:1:right", b"3.000000:0:left"],
        [b"2.000000:0:left", b"1.000000:1:right"],
    ]
    assert outputs["difference"].tolist() == [[3, 4], [2, 1]]


def test_parameters_that_mean_nothing_here_are_passed_over(channel: grpc.Channel) -> None:
    for message in (request(note="x", priority=0, timeout=0), request(priority=99), wanting(binary_data=True)):
        assert outputs_of(ask(channel, "ModelInfer", message))["total"][0, 0] == 3


BAD = [
    (request(sequence_id=1), grpc.StatusCode.UNIMPLEMENTED, "every request stands alone"),
    (request(sequence_start=True), grpc.StatusCode.UNIMPLEMENTED, "sequence_start"),
    (request(priority="high"), INVALID, "'priority' takes an int64_param, but string_param was sent"),
    (request(priority=-1), INVALID, "'priority' is -1"),
    (request(timeout=0.5), INVALID, "'timeout' takes an int64_param"),
    (request(triton_secret=1), INVALID, "'triton_secret' is reserved"),
    (wanting(classification=0), INVALID, "asks for 0 classes"),
    (wanting(classification=-1), INVALID, "'classification' of -1"),
    (wanting(classification="all"), INVALID, "'classification' that is no int64_param"),
]


@pytest.mark.parametrize(("message", "code", "sentence"), BAD, ids=[b[2] for b in BAD])
def test_a_bad_parameter_hears_the_code_and_a_sentence(
    channel: grpc.Channel, message: Any, code: grpc.StatusCode, sentence: str
) -> None:
    actual, details = refused(channel, "ModelInfer", message)
    assert actual is code
    assert sentence in details

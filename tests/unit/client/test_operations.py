"""Every operation, with both clients, against a server that answers as the contract says."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_client import (
    CallError,
    DeadlineExceeded,
    InputError,
    ModelInfo,
    NotFound,
    ReplyError,
    ResourceExhausted,
    ServerInfo,
    TensorInfo,
    Unavailable,
    Unimplemented,
)
from convserve_proto import open_inference as oip
from support.fake_server import FakeServer, Refused

from .conftest import AT_ONCE, Call


def test_live_ready_and_server_metadata(server: FakeServer, call: Call) -> None:
    assert call(server.target, "is_live") is True
    assert call(server.target, "is_ready") is True
    assert call(server.target, "server_metadata") == ServerInfo("fake", "9", ("health",))


def test_a_model_is_ready_or_not_and_an_unknown_one_is_an_error(server: FakeServer, call: Call) -> None:
    assert call(server.target, "model_ready", "simple_cnn") is True
    assert call(server.target, "model_ready", "resting") is False
    with pytest.raises(NotFound, match="there is no model 'nope'"):
        call(server.target, "model_ready", "nope")


def test_model_metadata_says_what_goes_in_and_out_and_on_what_it_runs(server: FakeServer, call: Call) -> None:
    info = call(server.target, "model_metadata", "simple_cnn")
    assert info.versions == ("1", "2")
    assert info.inputs == (TensorInfo("input", "FP32", (-1, 3, 32, 32)),)
    assert info.outputs == (TensorInfo("logits", "FP32", (-1, 10)),)
    assert info.provider == "CPUExecutionProvider"


def test_models_are_those_of_the_health_list_and_one_that_rests_is_not_asked(server: FakeServer, call: Call) -> None:
    models = call(server.target, "models")
    assert [model.name for model in models] == ["convolve", "resting", "simple_cnn"]
    assert models[1] == ModelInfo("resting", ready=False)
    assert models[2].inputs[0].name == "input"
    assert server.count("ModelMetadata") == 2


def test_a_server_that_does_not_list_its_models_says_what_to_do_instead(server: FakeServer, call: Call) -> None:
    del server.answers["List"]
    with pytest.raises(Unimplemented, match="ask for one by its name"):
        call(server.target, "models")


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
        np.array([[1, -2]], np.int64),
        np.array([True, False]),
        np.array([1.5], np.float16),
        np.array([[b"one", b"\x00\xff"]], object),
        np.zeros((0, 3), np.float64),
        np.array(7, np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_arrays_come_back_as_they_were_sent(server: FakeServer, call: Call, array: Any) -> None:
    result = call(server.target, "infer", "echo", {"x": array}, request_id="r7")
    assert (result.model_name, result.model_version, result.request_id) == ("echo", "2", "r7")
    assert result.outputs["x"].dtype == array.dtype
    np.testing.assert_array_equal(result.outputs["x"], array)
    assert result.parameters == {"cached": False}


def test_outputs_and_version_are_asked_for(server: FakeServer, call: Call) -> None:
    result = call(server.target, "infer", "echo", {"x": np.zeros(1)}, outputs=["y"], version="3")
    assert list(result.outputs) == ["y"]
    assert oip.ModelInferRequest.FromString(server.received[0].request).model_version == "3"


def test_typed_contents_of_other_servers_are_read(server: FakeServer, call: Call) -> None:
    def typed(_: bytes) -> bytes:
        response = oip.ModelInferResponse(model_name="m")
        response.outputs.add(name="y", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1.5, -2.5])
        return response.SerializeToString()

    server.answers["ModelInfer"] = typed
    np.testing.assert_array_equal(call(server.target, "infer", "m", {}).outputs["y"], [[1.5, -2.5]])


@pytest.mark.parametrize(
    ("shape", "datatype", "raws"),
    [
        ([2], "FP32", [b"1234"]),
        ([1], "FP32", [b"1234", b"1234"]),
        ([-1], "FP32", [b"1234"]),
        ([1], "COMPLEX", [b"12"]),
        ([2**62, 2**62, 0], "FP64", [b""]),
        ([2**63 - 1] * 1000, "INT8", [b""]),
        ([2**63 - 1] * 65, "BYTES", []),
    ],
)
def test_a_reply_that_does_not_hold_what_it_says_is_refused(
    server: FakeServer, call: Call, shape: list[int], datatype: str, raws: list[bytes]
) -> None:
    response = oip.ModelInferResponse(model_name="m", raw_output_contents=raws)
    response.outputs.add(name="y", datatype=datatype, shape=shape)
    server.answers["ModelInfer"] = lambda _: response.SerializeToString()
    with pytest.raises(ReplyError):
        call(server.target, "infer", "m", {})


def test_an_array_type_that_the_protocol_lacks_is_refused_by_input_name(server: FakeServer, call: Call) -> None:
    with pytest.raises(InputError, match=r"input 'x'.*complex128"):
        call(server.target, "infer", "m", {"x": np.zeros(1, complex)})
    assert server.received == []


def test_outputs_as_a_bare_text_are_a_mistake_worth_a_sentence(server: FakeServer, call: Call) -> None:
    with pytest.raises(InputError, match=r"\['logits'\]"):
        call(server.target, "infer", "m", {}, outputs="logits")


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_no_error_of_grpc_escapes_and_the_servers_sentence_arrives(
    server: FakeServer, call: Call, code: grpc.StatusCode
) -> None:
    server.fail_next(code, "a sentence of the server", times=AT_ONCE.attempts)
    with pytest.raises(CallError) as caught:
        call(server.target, "is_live")
    assert grpc.RpcError not in type(caught.value).__mro__
    assert (caught.value.code, caught.value.target) == (code.name, server.target)
    assert caught.value.message == "a sentence of the server"
    retried = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert server.count("ServerLive") == (AT_ONCE.attempts if retried else 1)


def test_a_stopping_server_that_cancels_and_refuses_is_survived(server: FakeServer, call: Call) -> None:
    server.fail_next(grpc.StatusCode.CANCELLED)
    server.fail_next(grpc.StatusCode.UNAVAILABLE)
    assert call(server.target, "infer", "echo", {"x": np.ones(2)}).outputs["x"].tolist() == [1, 1]
    assert server.count("ModelInfer") == 3


def test_a_full_queue_is_told_at_once(server: FakeServer, call: Call) -> None:
    server.fail_next(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
    with pytest.raises(ResourceExhausted, match="the queue is full"):
        call(server.target, "infer", "echo", {"x": np.ones(2)})
    assert server.count("ModelInfer") == 1


def test_a_server_that_is_not_there_is_unavailable(call: Call) -> None:
    with pytest.raises(Unavailable, match="onnection refused"):
        call("127.0.0.1:1", "is_live")


def test_every_call_has_a_deadline_and_one_can_have_its_own(server: FakeServer, call: Call) -> None:
    call(server.target, "is_live", settings={"timeout": 7.0})
    call(server.target, "is_live", timeout=3.0)
    assert 0 < server.received[0].time_remaining <= 7.5
    assert 0 < server.received[1].time_remaining <= 3.5


def test_a_deadline_that_passes_says_how_long_it_was(server: FakeServer, call: Call) -> None:
    let_go = threading.Event()

    def stuck(_: bytes) -> bytes:
        let_go.wait(10)
        raise Refused(grpc.StatusCode.INTERNAL, "too late")

    server.answers["ServerLive"] = stuck
    with pytest.raises(DeadlineExceeded, match=r"no answer came within 0\.05 s"):
        call(server.target, "is_live", timeout=0.05)
    let_go.set()


def test_a_request_over_the_clients_limit_is_not_sent(server: FakeServer, call: Call) -> None:
    with pytest.raises(InputError, match=r"max_message_bytes"):
        call(server.target, "infer", "m", {"x": np.zeros(1000)}, settings={"max_message_bytes": 1000})
    assert server.received == []


def test_a_reply_over_the_clients_limit_is_an_error_of_ours(server: FakeServer, call: Call) -> None:
    server.answers["ServerMetadata"] = lambda _: oip.ServerMetadataResponse(name="x" * 2000).SerializeToString()
    with pytest.raises(ResourceExhausted, match="larger than max"):
        call(server.target, "server_metadata", settings={"max_message_bytes": 1000})


def test_messages_over_grpcs_own_4_mb_pass(server: FakeServer, call: Call) -> None:
    array = np.zeros((6, 2**20), np.uint8)
    assert call(server.target, "infer", "echo", {"x": array}).outputs["x"].shape == array.shape


def test_a_reply_that_is_another_message_is_refused(server: FakeServer, call: Call) -> None:
    server.answers["ServerMetadata"] = lambda _: b"\xff\xff\xff"
    with pytest.raises(ReplyError, match=server.target):
        call(server.target, "server_metadata")


def test_token_and_metadata_go_with_every_call(server: FakeServer, call: Call) -> None:
    call(server.target, "models", settings={"token": "secret", "metadata": [("x-tenant", "blue")]})
    assert len(server.received) == 3
    for received in server.received:
        assert received.metadata["authorization"] == "Bearer secret"
        assert received.metadata["x-tenant"] == "blue"

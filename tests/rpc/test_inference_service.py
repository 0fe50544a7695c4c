"""The Open Inference Protocol's service, on both transports: what it answers, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_proto.tensors import encode_raw
from convserve_server.app import App
from convserve_server.rpc.metadata_service import EXTENSIONS
from support.artifacts import write_picky, write_sum
from support.servers import call, running_app

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module", params=["standard", "fast"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    repository = tmp_path_factory.mktemp("repository")
    write_sum(repository, version=3)
    write_picky(repository)
    with running_app(repository, transport=request.param, max_batch_size=4, max_request_rows=10) as app:
        yield app


@pytest.fixture(scope="module")
def channel(app: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


def request(rows: int = 2, **changes: Any) -> Any:
    a = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    message = oip.ModelInferRequest(model_name="sum", id="abc")
    for name, array in (("a", a), ("b", np.ones_like(a))):
        message.inputs.add(name=name, datatype="FP32", shape=array.shape)
        message.raw_input_contents.append(encode_raw(array))
    for field, value in changes.items():
        setattr(message, field, value)
    return message


def infer(channel: grpc.Channel, message: Any) -> Any:
    return call(channel, SERVICE + "ModelInfer", message, oip.ModelInferResponse)


def output(reply: Any, index: int) -> list[list[float]]:
    values = np.frombuffer(reply.raw_output_contents[index], np.float32)
    rows: list[list[float]] = values.reshape(reply.outputs[index].shape).tolist()
    return rows


def test_the_server_is_live_ready_and_says_who_it_is(channel: grpc.Channel) -> None:
    assert call(channel, SERVICE + "ServerLive", b"", oip.ServerLiveResponse).live
    assert call(channel, SERVICE + "ServerReady", b"", oip.ServerReadyResponse).ready
    metadata = call(channel, SERVICE + "ServerMetadata", b"", oip.ServerMetadataResponse)
    assert metadata.name == "convserve"
    assert list(metadata.extensions) == list(EXTENSIONS)


def test_a_model_tells_its_versions_inputs_outputs_and_the_provider_that_runs_it(channel: grpc.Channel) -> None:
    ask = oip.ModelMetadataRequest(name="sum")
    metadata = call(channel, SERVICE + "ModelMetadata", ask, oip.ModelMetadataResponse)
    assert list(metadata.versions) == ["3"]
    assert metadata.platform == "onnxruntime_onnx"
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [
        ("a", "FP32", [-1, 2]),
        ("b", "FP32", [-1, 2]),
    ]
    assert [o.name for o in metadata.outputs] == ["total", "difference"]
    assert metadata.properties["provider"] == "CPUExecutionProvider"


def test_a_served_model_is_ready_and_an_unknown_one_is_an_error(channel: grpc.Channel) -> None:
    for version in ("", "3"):
        ask = oip.ModelReadyRequest(name="sum", version=version)
        assert call(channel, SERVICE + "ModelReady", ask, oip.ModelReadyResponse).ready
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, SERVICE + "ModelReady", oip.ModelReadyRequest(name="x"), oip.ModelReadyResponse)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_raw_contents_are_answered_raw_with_the_id_and_the_version_that_served(channel: grpc.Channel) -> None:
    reply = infer(channel, request())
    assert (reply.model_name, reply.model_version, reply.id) == ("sum", "3", "abc")
    assert [(o.name, o.datatype, list(o.shape)) for o in reply.outputs] == [
        ("total", "FP32", [2, 2]),
        ("difference", "FP32", [2, 2]),
    ]
    assert output(reply, 0) == [[1, 2], [3, 4]]
    assert output(reply, 1) == [[-1, 0], [1, 2]]


def test_typed_contents_are_taken_and_inputs_may_come_in_any_order(channel: grpc.Channel) -> None:
    message = oip.ModelInferRequest(model_name="sum", model_version="3")
    for name, values in (("b", [1, 1]), ("a", [5, 7])):
        tensor = message.inputs.add(name=name, datatype="FP32", shape=[1, 2])
        tensor.contents.fp32_contents.extend(values)
    assert output(infer(channel, message), 1) == [[4, 6]]


def test_only_requested_outputs_are_answered_in_the_requests_order(channel: grpc.Channel) -> None:
    message = request()
    message.outputs.add(name="difference")
    reply = infer(channel, message)
    assert [o.name for o in reply.outputs] == ["difference"]
    assert output(reply, 0) == [[-1, 0], [1, 2]]
    message.outputs.add(name="total")
    assert [o.name for o in infer(channel, message).outputs] == ["difference", "total"]


def test_a_request_larger_than_a_batch_is_answered_as_one(channel: grpc.Channel) -> None:
    assert output(infer(channel, request(rows=10)), 0) == [[2 * n + 1, 2 * n + 2] for n in range(10)]


def edit(change: Callable[[Any], object]) -> Any:
    message = request()
    change(message)
    return message


BAD: list[tuple[str, Any, grpc.StatusCode, str]] = [
    ("no model", request(model_name=""), grpc.StatusCode.NOT_FOUND, "names no model"),
    ("unknown model", request(model_name="x"), grpc.StatusCode.NOT_FOUND, "unknown model: 'x' is not found"),
    ("unknown version", request(model_version="9"), grpc.StatusCode.NOT_FOUND, "version 9 is not found"),
    ("bad version", request(model_version="new"), INVALID, "not a whole number above 0"),
    ("no inputs", oip.ModelInferRequest(model_name="sum"), INVALID, "expected 2 inputs but got 0"),
    ("wrong name", edit(lambda m: setattr(m.inputs[1], "name", "c")), INVALID, "has 'a', 'c'"),
    ("twice", edit(lambda m: setattr(m.inputs[1], "name", "a")), INVALID, "each once"),
    (
        "datatype",
        edit(lambda m: setattr(m.inputs[0], "datatype", "FP64")),
        INVALID,
        "data-type is 'FP64', but model 'sum' expects 'FP32'",
    ),
    ("no datatype", edit(lambda m: setattr(m.inputs[0], "datatype", "")), INVALID, "data-type is ''"),
    ("rank", edit(lambda m: m.inputs[0].shape.append(1)), INVALID, "Expected [-1,2], got [2,2,1]"),
    ("axis", edit(lambda m: m.inputs[0].shape.__setitem__(1, 3)), INVALID, "Expected [-1,2], got [2,3]"),
    ("negative", edit(lambda m: m.inputs[0].shape.__setitem__(0, -1)), INVALID, "got [-1,2]"),
    ("huge", edit(lambda m: m.inputs[0].shape.__setitem__(0, 2**62)), INVALID, "16 bytes of raw contents"),
    (
        "too few bytes",
        edit(lambda m: m.raw_input_contents.__setitem__(0, b"123")),
        INVALID,
        "input 'a' has 3 bytes of raw contents, but FP32 [2, 2] takes 16",
    ),
    (
        "raw missing",
        edit(lambda m: m.raw_input_contents.pop()),
        INVALID,
        "raw_input_contents has 1 entries for 2 inputs",
    ),
    (
        "no contents",
        edit(lambda m: m.ClearField("raw_input_contents")),
        INVALID,
        "0 elements in fp32_contents, but [2, 2] takes 4",
    ),
    (
        "both",
        edit(lambda m: m.inputs[0].contents.fp32_contents.append(1)),
        INVALID,
        "contents field must not be specified when using raw",
    ),
    (
        "wrong field",
        edit(lambda m: (m.ClearField("raw_input_contents"), m.inputs[0].contents.int_contents.extend([1] * 4))),
        INVALID,
        "goes into fp32_contents, but int_contents is filled",
    ),
    (
        "rows differ",
        edit(lambda m: (m.inputs[0].shape.__setitem__(0, 1), m.raw_input_contents.__setitem__(0, bytes(8)))),
        INVALID,
        "'a' has 1, 'b' has 2",
    ),
    ("zero rows", request(rows=0), INVALID, "0 rows"),
    ("too many rows", request(rows=11), INVALID, "11 rows, but one request may have 10"),
    (
        "output",
        edit(lambda m: m.outputs.add(name="x")),
        INVALID,
        "unexpected inference output 'x' for model 'sum'; it has 'total', 'difference'",
    ),
    (
        "output twice",
        edit(lambda m: (m.outputs.add(name="total"), m.outputs.add(name="total"))),
        INVALID,
        "more than once",
    ),
    (
        "output parameter",
        edit(lambda m: m.outputs.add(name="total").parameters["rank"].MergeFrom(oip.InferParameter(int64_param=1))),
        INVALID,
        "output 'total' has parameters that this server does not know: rank",
    ),
    (
        "sequence",
        edit(lambda m: m.parameters["sequence_id"].MergeFrom(oip.InferParameter(int64_param=1))),
        grpc.StatusCode.UNIMPLEMENTED,
        "sequence_id",
    ),
    ("no message", b"\xff\xff\xff", INVALID, "no valid inference.ModelInferRequest"),
]


@pytest.mark.parametrize(("message", "code", "sentence"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_request_hears_the_code_and_a_sentence_and_the_next_one_is_served(
    channel: grpc.Channel, message: Any, code: grpc.StatusCode, sentence: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(channel, message)
    assert caught.value.code() is code
    assert sentence in (caught.value.details() or "")
    assert output(infer(channel, request()), 0) == [[1, 2], [3, 4]]


def test_a_run_that_fails_inside_of_onnx_runtime_is_internal_and_the_model_serves_on(channel: grpc.Channel) -> None:
    def pick(index: int) -> Any:
        message = oip.ModelInferRequest(model_name="picky")
        for name, array in (("table", np.array([[1, 2], [3, 4]], np.float32)), ("index", np.array([index], np.int64))):
            datatype = "FP32" if name == "table" else "INT64"
            message.inputs.add(name=name, datatype=datatype, shape=array.shape)
            message.raw_input_contents.append(encode_raw(array))
        return infer(channel, message)

    with pytest.raises(grpc.RpcError) as caught:
        pick(7)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "the server's log says why" in (caught.value.details() or "")
    assert output(pick(1), 0) == [[3, 4]]


def test_a_client_that_cancels_in_a_batch_harms_nobody_else_of_it(channel: grpc.Channel) -> None:
    infer_raw = channel.unary_unary(SERVICE + "ModelInfer", lambda b: b, oip.ModelInferResponse.FromString)
    for _ in range(5):
        futures = []
        for n in range(40):
            message = oip.ModelInferRequest(model_name="sum", id=str(n))
            for name in ("a", "b"):
                message.inputs.add(name=name, datatype="FP32", shape=[1, 2])
                message.raw_input_contents.append(np.array([n, n], np.float32).tobytes())
            futures.append(infer_raw.future(message.SerializeToString(), timeout=20))
            if n % 3 == 0:
                futures[-1].cancel()
        for n, future in enumerate(futures):
            if n % 3:
                reply = future.result()
                assert (reply.id, output(reply, 0)) == (str(n), [[2 * n, 2 * n]])

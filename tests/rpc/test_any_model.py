"""Any ONNX model is served where the operator allows it: every datatype, any shape, with and without a batch axis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from convserve_proto import open_inference as oip
from convserve_server.errors import LoadFailed
from onnx import TensorProto, helper, numpy_helper
from support.artifacts import onnx_model, write_sum
from support.open_inference import ask, refused
from support.repositories import loaded, new_repository
from support.requests import infer_request, outputs_of
from support.servers import running_app

TYPES = {
    "BOOL": (TensorProto.BOOL, np.array([[True, False]])),
    "INT8": (TensorProto.INT8, np.array([[-128, 127]], np.int8)),
    "INT16": (TensorProto.INT16, np.array([[-(2**15), 7]], np.int16)),
    "INT32": (TensorProto.INT32, np.array([[-(2**31), 7]], np.int32)),
    "INT64": (TensorProto.INT64, np.array([[-(2**63), 7]], np.int64)),
    "UINT8": (TensorProto.UINT8, np.array([[0, 255]], np.uint8)),
    "UINT16": (TensorProto.UINT16, np.array([[0, 2**16 - 1]], np.uint16)),
    "UINT32": (TensorProto.UINT32, np.array([[0, 2**32 - 1]], np.uint32)),
    "UINT64": (TensorProto.UINT64, np.array([[0, 2**64 - 1]], np.uint64)),
    "FP16": (TensorProto.FLOAT16, np.array([[0.5, 65504]], np.float16)),
    "FP32": (TensorProto.FLOAT, np.array([[0.5, 3e38]], np.float32)),
    "FP64": (TensorProto.DOUBLE, np.array([[0.5, 1e300]], np.float64)),
    # As bits: 1.0 and -2.0.
    "BF16": (TensorProto.BFLOAT16, np.array([[0x3F80, 0xC000]], np.uint16)),
    "BYTES": (TensorProto.STRING, np.array([["grüße".encode(), b""]], object)),
}


def write(repository: Path, name: str, model: bytes) -> None:
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)


def identity(kind: int, shape: Any) -> bytes:
    """Gives back its input."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return onnx_model([node], {"x": (kind, shape)}, {"y": (kind, shape)})


@contextmanager
def serving(repository: Path, **settings: Any) -> Iterator[grpc.Channel]:
    with (
        running_app(repository, allow_unverified=True, **settings) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


def shape_of(channel: grpc.Channel, name: str) -> list[int]:
    metadata = ask(channel, "ModelMetadata", oip.ModelMetadataRequest(name=name))
    return list(metadata.inputs[0].shape)


def max_batch_size(channel: grpc.Channel, name: str) -> int:
    size: int = ask(channel, "ModelConfig", oip.ModelConfigRequest(name=name)).config.max_batch_size
    return size


def test_every_datatype_goes_in_and_comes_out_as_it_was(tmp_path: Path, kind: str) -> None:
    for datatype, (element, _) in TYPES.items():
        write(tmp_path, datatype, identity(element, ["batch", 2]))
        write(tmp_path, f"{datatype}-fixed", identity(element, [1, 2]))
    with serving(tmp_path, transport=kind) as channel:
        for datatype, (_, array) in TYPES.items():
            for name in (datatype, f"{datatype}-fixed"):
                response = ask(channel, "ModelInfer", infer_request(name, {"x": array}, {"x": datatype}))
                assert response.outputs[0].datatype == datatype
                assert outputs_of(response)["y"].tolist() == array.tolist()


def test_scalars_empty_tensors_and_free_axes_keep_their_shapes(tmp_path: Path) -> None:
    write(tmp_path, "scalar", identity(TensorProto.FLOAT, []))
    write(tmp_path, "free", identity(TensorProto.INT64, ["rows", "columns"]))
    write(tmp_path, "text", identity(TensorProto.STRING, ["rows", "columns"]))
    with serving(tmp_path) as channel:
        for name, array in (
            ("scalar", np.array(2.5, np.float32)),
            ("free", np.zeros((0, 3), np.int64)),
            ("free", np.zeros((2, 0), np.int64)),
            ("free", np.arange(6).reshape(2, 3)),
            ("text", np.empty((0, 2), object)),
        ):
            got = outputs_of(ask(channel, "ModelInfer", infer_request(name, {"x": array})))["y"]
            assert (got.shape, got.tolist()) == (array.shape, array.tolist())
        assert shape_of(channel, "scalar") == []
        assert shape_of(channel, "free") == [-1, -1]


def test_a_model_without_inputs_is_called_without_any(tmp_path: Path) -> None:
    value = numpy_helper.from_array(np.array([1, 2], np.int64))
    node = helper.make_node("Constant", [], ["y"], value=value)
    write(tmp_path, "constant", onnx_model([node], {}, {"y": (TensorProto.INT64, [2])}))
    with serving(tmp_path) as channel:
        for _ in range(2):
            assert outputs_of(ask(channel, "ModelInfer", infer_request("constant", {})))["y"].tolist() == [1, 2]


def test_a_model_is_batched_only_where_its_graph_or_its_config_says_so(tmp_path: Path) -> None:
    for name, axis in (("named", "batch_size"), ("unnamed", "rows"), ("fixed", 1), ("told", "rows"), ("told not", "N")):
        write(tmp_path, name, identity(TensorProto.FLOAT, [axis, 2]))
    (tmp_path / "told" / "config.json").write_text('{"max_batch_size": 3}')
    (tmp_path / "told not" / "config.json").write_text('{"max_batch_size": 0}')
    with serving(tmp_path, max_batch_size=32) as channel:
        sizes = {n: max_batch_size(channel, n) for n in ("named", "unnamed", "fixed", "told", "told not")}
        assert sizes == {"named": 32, "unnamed": 0, "fixed": 0, "told": 3, "told not": 0}


def test_a_model_that_mixes_the_rows_of_its_batch_axis_is_not_batched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shape: tuple[int, list[int | str]] = (TensorProto.FLOAT, ["batch", 2])
    mixing = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    write(tmp_path, "mixing", onnx_model([mixing], {"x": shape}, {"y": shape}))
    within = helper.make_node("Softmax", ["x"], ["y"], axis=1)
    write(tmp_path, "within", onnx_model([within], {"x": shape}, {"y": shape}))
    with serving(tmp_path) as channel:
        assert (max_batch_size(channel, "mixing"), max_batch_size(channel, "within")) == (0, 32)
    assert "mixing mixes the rows of a batch" in caplog.text


def test_text_that_is_not_utf8_is_refused_and_harms_nobody_else(tmp_path: Path) -> None:
    write(tmp_path, "text", identity(TensorProto.STRING, ["batch", 1]))
    with serving(tmp_path) as channel:
        bad = infer_request("text", {"x": np.array([[b"\xff"]], object)})
        code, sentence = refused(channel, "ModelInfer", bad)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "input 'x' has a BYTES element that is not UTF-8" in sentence


def test_weights_may_lie_in_a_file_beside_the_model(tmp_path: Path) -> None:
    weights = np.arange(1000, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1000])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1000])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = tmp_path / "large" / "1"
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (folder / "weights.bin").stat().st_size == 4000
    with serving(tmp_path) as channel:
        response = ask(channel, "ModelInfer", infer_request("large", {"x": weights}))
        assert (outputs_of(response)["y"] == 2 * weights).all()


def test_without_leave_a_model_without_a_manifest_is_refused_and_with_one_it_is_verified(tmp_path: Path) -> None:
    write(tmp_path, "plain", identity(TensorProto.FLOAT, [1]))
    folder = write_sum(tmp_path)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    strict, lenient = loaded(tmp_path), loaded(tmp_path, allow_unverified=True)
    assert strict.names() == []
    assert any("start with --allow-unverified" in r.reason for r in strict.refusals)
    assert lenient.names() == ["plain"]
    assert ["its manifest says" in r.reason for r in lenient.refusals] == [True]


def test_serving_unverified_models_is_said_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "plain", identity(TensorProto.FLOAT, [1]))
    loaded(tmp_path, allow_unverified=True)
    warnings = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert any("--allow-unverified: models without a manifest are served" in w for w in warnings)
    assert any("plain/1/model.onnx is UNVERIFIED" in w for w in warnings)


def sequence() -> bytes:
    value = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    return _model([node], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])], [value])


def optional() -> bytes:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    value = helper.make_value_info("x", helper.make_optional_type_proto(tensor))
    node = helper.make_node("OptionalHasElement", ["x"], ["y"])
    return _model([node], [value], [helper.make_tensor_value_info("y", TensorProto.BOOL, [])])


def float8() -> bytes:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    return _model(
        [node],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT8E4M3FN, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (sequence(), r"its output 'y' is seq\(tensor\(float\)\), and the protocol carries only tensors"),
        (optional(), r"its input 'x' is optional\(tensor\(float\)\), and the protocol carries only tensors"),
        (float8(), r"its input 'x' is tensor\(float8e4m3fn\)"),
        (b"no model", "ONNX Runtime does not load it"),
    ],
    ids=["sequence", "optional", "float8", "no model"],
)
def test_what_is_no_tensor_of_the_protocol_is_refused_with_a_sentence(
    tmp_path: Path, model: bytes, sentence: str
) -> None:
    write(tmp_path, "odd", model)
    repository = new_repository(tmp_path, allow_unverified=True)
    repository.load([])
    with pytest.raises(LoadFailed, match=sentence):
        repository.load_model("odd")


BAD_CONFIGS: list[tuple[dict[str, Any] | str, str]] = [
    ("{", "no valid model config"),
    ({"colour": 1}, "no valid model config"),
    ({"name": "other"}, "for a model 'other', but it lies in plain"),
    ({"platform": "pytorch_libtorch"}, "this server runs ONNX models"),
    ({"max_batch_size": -1}, "max_batch_size -1"),
    ({"max_batch_size": 4}, "axis 0 of its inputs and outputs is not free"),
    ({"sequence_batching": {}}, "asks for sequence_batching"),
    ({"default_model_filename": "../../x"}, "not inside of a version's folder"),
    ({"version_policy": {"specific": {}}}, "names no version"),
    ({"input": [{"name": "z"}]}, "names the input 'z'; the model has x"),
    ({"input": [{"name": "x", "dims": [3]}]}, r"gives input 'x' the dims \[3\]; the model has \[2\]"),
    ({"output": [{"name": "y", "label_filename": "../names"}]}, "not inside of its folder"),
    ({"output": [{"name": "y", "label_filename": "names"}]}, "labels names cannot be read"),
    ({"parameters": {"intra_op_thread_count": {"string_value": "x"}}}, "intra_op_thread_count is 'x'"),
    ({"parameters": {"precision": {"string_value": "fp8"}}}, "precision is 'fp8'; it takes auto, fp32, fp16, int8"),
    ({"instance_group": [{"kind": "KIND_GPU"}]}, "started with --provider cpu"),
    ({"dynamic_batching": {"priority_levels": 2}}, "default level 0 is none of them"),
    ({"dynamic_batching": {"default_queue_policy": {"timeout_action": "DELAY"}}}, "timeout action DELAY"),
    ({"model_warmup": [{"inputs": {"x": {"input_data_file": "f"}}}]}, "warms up from a file"),
    ({"model_warmup": [{"inputs": {"x": {"dims": [3]}}}]}, "the warm-up run that its config asks for failed"),
]


@pytest.mark.parametrize(("config", "sentence"), BAD_CONFIGS, ids=[b[1] for b in BAD_CONFIGS])
def test_a_config_that_cannot_be_followed_is_named(tmp_path: Path, config: dict[str, Any] | str, sentence: str) -> None:
    write(tmp_path, "plain", identity(TensorProto.FLOAT, [2]))
    repository = new_repository(tmp_path, allow_unverified=True)
    repository.load([])
    with pytest.raises(LoadFailed, match=sentence):
        repository.load_model("plain", config=config if isinstance(config, str) else json.dumps(config))


def test_tritons_own_config_file_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, "plain", identity(TensorProto.FLOAT, ["rows", 2]))
    (tmp_path / "plain" / "config.pbtxt").write_text(
        'name: "plain" backend: "onnxruntime" max_batch_size: 7\n'
        'input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]\n'
        "optimization { graph { level: 1 } }\n"
    )
    repository = loaded(tmp_path, allow_unverified=True)
    assert [m.batcher.limits.max_batch_size for m in repository.models()] == [7]
    assert repository.models()[0].description.batched

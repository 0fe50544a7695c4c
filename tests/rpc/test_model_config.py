"""ModelConfig says how a model is served, and what it says can be loaded again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from convserve_proto import open_inference as oip
from google.protobuf import json_format
from support.artifacts import write_picky, write_sum
from support.open_inference import ask, refused
from support.servers import running_app

CONFIG: dict[str, Any] = {
    "max_batch_size": 16,
    "version_policy": {"latest": {"num_versions": 2}},
    "instance_group": [{"count": 3}],
    "parameters": {"intra_op_thread_count": {"string_value": "2"}, "precision": {"string_value": "fp32"}},
    "dynamic_batching": {
        "max_queue_delay_microseconds": 100,
        "priority_levels": 4,
        "default_priority_level": 2,
        "default_queue_policy": {"default_timeout_microseconds": 500_000, "max_queue_size": 99},
    },
    "model_warmup": [{"batch_size": 3, "count": 2, "inputs": {"a": {"random_data": True}}}],
    "output": [{"name": "total", "label_filename": "names.txt"}],
}


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[grpc.Channel]:
    write_sum(tmp_path)
    write_picky(tmp_path)
    (tmp_path / "sum" / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "sum" / "names.txt").write_text("left\nright\n")
    with (
        running_app(tmp_path, repository_mode="explicit", load_model=("*",), instances=2, threads=1) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


def config(channel: grpc.Channel, name: str) -> Any:
    return ask(channel, "ModelConfig", oip.ModelConfigRequest(name=name)).config


def test_a_model_with_a_config_is_served_by_it(channel: grpc.Channel) -> None:
    told = config(channel, "sum")
    assert (told.name, told.platform, told.backend) == ("sum", "onnxruntime_onnx", "onnxruntime")
    assert (told.max_batch_size, told.version_policy.latest.num_versions) == (16, 2)
    assert [(g.count, g.kind) for g in told.instance_group] == [(3, 2)]
    assert told.parameters["intra_op_thread_count"].string_value == "2"
    assert told.parameters["precision"].string_value == "fp32"
    batching = told.dynamic_batching
    assert (batching.max_queue_delay_microseconds, batching.priority_levels) == (100, 4)
    assert batching.default_queue_policy.default_timeout_microseconds == 500_000
    assert batching.default_queue_policy.max_queue_size == 99
    # Dims are without the batch axis; 11 is FP32.
    assert [(i.name, i.data_type, list(i.dims)) for i in told.input] == [("a", 11, [2]), ("b", 11, [2])]
    assert [(o.name, o.label_filename) for o in told.output] == [("total", "names.txt"), ("difference", "")]
    assert [(w.batch_size, w.count, w.inputs["a"].random_data) for w in told.model_warmup] == [(3, 2, True)]


def test_a_model_without_a_config_is_served_by_the_servers_settings(channel: grpc.Channel) -> None:
    told = config(channel, "picky")
    assert told.max_batch_size == 0
    assert [list(i.dims) for i in told.input] == [[-1, 2], [1]]
    assert [g.count for g in told.instance_group] == [2]
    assert told.version_policy.latest.num_versions == 1


@pytest.mark.parametrize("name", ["sum", "picky"])
def test_what_it_says_can_be_loaded_again_and_says_the_same(channel: grpc.Channel, name: str) -> None:
    told = config(channel, name)
    request = oip.RepositoryModelLoadRequest(model_name=name)
    request.parameters["config"].string_param = json_format.MessageToJson(told)
    ask(channel, "RepositoryModelLoad", request)
    assert config(channel, name) == told


def test_an_unknown_model_is_not_found(channel: grpc.Channel) -> None:
    code, sentence = refused(channel, "ModelConfig", oip.ModelConfigRequest(name="nope"))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "'nope' is not found" in sentence

"""RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload, and what health and readiness say of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from convserve_proto import open_inference as oip
from convserve_server.app import App
from grpc_health.v1 import health_pb2
from support.artifacts import write_picky, write_sum
from support.servers import call, running_app
from support.transports import wait_until

SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A server that loads what it is told to, with sum there and picky loaded."""
    write_sum(tmp_path)
    write_picky(tmp_path)
    with running_app(tmp_path, repository_mode="explicit", load_model=("picky",)) as app:
        yield app


@pytest.fixture
def channel(app: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


def load(channel: grpc.Channel, name: str, **parameters: Any) -> None:
    request = oip.RepositoryModelLoadRequest(model_name=name)
    for key, value in parameters.items():
        request.parameters[key].MergeFrom(value)
    call(channel, SERVICE + "RepositoryModelLoad", request, oip.RepositoryModelLoadResponse)


def unload(channel: grpc.Channel, name: str) -> None:
    request = oip.RepositoryModelUnloadRequest(model_name=name)
    call(channel, SERVICE + "RepositoryModelUnload", request, oip.RepositoryModelUnloadResponse)


def states(channel: grpc.Channel, **request: Any) -> list[tuple[str, str, str]]:
    path = SERVICE + "RepositoryIndex"
    response = call(channel, path, oip.RepositoryIndexRequest(**request), oip.RepositoryIndexResponse)
    return [(m.name, m.version, m.state) for m in response.models]


def ready(channel: grpc.Channel, name: str, version: str = "") -> bool:
    request = oip.ModelReadyRequest(name=name, version=version)
    answer: bool = call(channel, SERVICE + "ModelReady", request, oip.ModelReadyResponse).ready
    return answer


def health(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    status: int = call(channel, "/grpc.health.v1.Health/Check", request, health_pb2.HealthCheckResponse).status
    return status


def test_a_model_is_loaded_and_unloaded_and_everybody_who_asks_hears_so(channel: grpc.Channel) -> None:
    assert states(channel) == [("picky", "1", "READY"), ("sum", "", "UNAVAILABLE")]
    load(channel, "sum")
    assert ready(channel, "sum")
    assert health(channel, "models/sum") == health_pb2.HealthCheckResponse.SERVING
    assert states(channel) == [("picky", "1", "READY"), ("sum", "1", "READY")]
    unload(channel, "sum")
    wait_until(lambda: states(channel) == [("picky", "1", "READY"), ("sum", "1", "UNAVAILABLE")])
    assert not ready(channel, "sum")
    assert not ready(channel, "sum", "1")
    assert health(channel, "models/sum") == health_pb2.HealthCheckResponse.NOT_SERVING
    assert states(channel, ready=True) == [("picky", "1", "READY")]


BAD: list[tuple[str, Any, grpc.StatusCode, str]] = [
    (
        "RepositoryIndex",
        oip.RepositoryIndexRequest(repository_name="x"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "no repository 'x'",
    ),
    (
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="nope"),
        grpc.StatusCode.INTERNAL,
        "failed to load 'nope': there is no version of it",
    ),
    (
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(model_name="../sum"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "cannot be the name of a model",
    ),
    (
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(
            model_name="sum", parameters={"shape": oip.ModelRepositoryParameter(string_param="x")}
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "unrecognized load parameter 'shape'",
    ),
    (
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(
            model_name="sum", parameters={"config": oip.ModelRepositoryParameter(int64_param=1)}
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "parameter 'config' takes a string_param, but int64_param was sent",
    ),
    (
        "RepositoryModelLoad",
        oip.RepositoryModelLoadRequest(
            model_name="sum", parameters={"config": oip.ModelRepositoryParameter(string_param="{")}
        ),
        grpc.StatusCode.INTERNAL,
        "no valid model config",
    ),
    (
        "RepositoryModelUnload",
        oip.RepositoryModelUnloadRequest(model_name="sum"),
        grpc.StatusCode.INVALID_ARGUMENT,
        "failed to unload 'sum': it is not served",
    ),
    (
        "RepositoryModelUnload",
        oip.RepositoryModelUnloadRequest(
            model_name="picky", parameters={"now": oip.ModelRepositoryParameter(bool_param=True)}
        ),
        grpc.StatusCode.INVALID_ARGUMENT,
        "unrecognized unload parameter 'now'",
    ),
    ("RepositoryModelLoad", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "no valid inference.RepositoryModelLoad"),
]


@pytest.mark.parametrize(("method", "request_", "code", "sentence"), BAD, ids=[f"{b[0]}: {b[3]}" for b in BAD])
def test_a_bad_request_hears_the_code_and_a_sentence(
    channel: grpc.Channel, method: str, request_: Any, code: grpc.StatusCode, sentence: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, SERVICE + method, request_, oip.RepositoryModelLoadResponse)
    assert caught.value.code() is code
    assert sentence in (caught.value.details() or "")
    assert ready(channel, "picky")


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_loading_when_told_is_for_the_mode_explicit_only(tmp_path: Path, mode: str) -> None:
    write_sum(tmp_path)
    with (
        running_app(tmp_path, repository_mode=mode) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        for change in (load, unload):
            with pytest.raises(grpc.RpcError) as caught:
                change(channel, "sum")
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "explicit model load / unload is not allowed" in (caught.value.details() or "")


def test_a_polling_server_may_start_empty_and_serves_what_is_exported_later(tmp_path: Path) -> None:
    with (
        running_app(tmp_path, repository_mode="poll", poll_seconds=0.05) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        assert states(channel) == []
        write_sum(tmp_path / ".staging").parent.rename(tmp_path / "sum")
        wait_until(lambda: states(channel) == [("sum", "1", "READY")])
        assert ready(channel, "sum")

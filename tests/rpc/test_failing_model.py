"""Readiness tells the truth: a model whose runs keep failing is not ready, and says why; the others go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.engine import vitals
from convserve_server.engine.session import SessionInstance
from convserve_server.engine.vitals import FAILURES_IN_A_ROW
from convserve_server.errors import ModelBroken
from grpc_health.v1 import health_pb2
from support.artifacts import write_hopeless, write_picky, write_sum
from support.open_inference import ask
from support.requests import infer_request, outputs_of
from support.servers import call, running_app
from support.transports import wait_until

ROWS = np.ones((1, 2), np.float32)


class Breakable:
    """Makes the runs of ONNX Runtime fail for models of these names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken: set[str] = set()
        names: dict[int, str] = {}
        make, run = SessionInstance.__init__, SessionInstance.run

        def made(instance: Any, session: Any, description: Any, rows: int) -> None:
            names[id(instance)] = description.name
            make(instance, session, description, rows)

        def runs(instance: Any, requests: Sequence[Any]) -> Any:
            if names[id(instance)] in self.broken:
                raise RuntimeError("the device is gone")
            return run(instance, requests)

        monkeypatch.setattr(SessionInstance, "__init__", made)
        monkeypatch.setattr(SessionInstance, "run", runs)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Breakable:
    monkeypatch.setattr(vitals, "PROBE_SECONDS", 0.05)
    return Breakable(monkeypatch)


@contextmanager
def serving(folder: Path, kind: str, **settings: Any) -> Iterator[grpc.Channel]:
    with (
        running_app(folder, transport=kind, **settings) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


def infer(channel: grpc.Channel, model: str = "sum") -> str:
    """The status of a call, whose answer must be right."""
    try:
        response = ask(channel, "ModelInfer", infer_request(model, {"a": ROWS, "b": ROWS}))
    except grpc.RpcError as error:
        return str(error.code().name)
    assert (outputs_of(response)["total"] == 2).all()
    return "OK"


def health(channel: grpc.Channel, service: str) -> bool:
    path = "/grpc.health.v1.Health/Check"
    reply = call(channel, path, health_pb2.HealthCheckRequest(service=service), health_pb2.HealthCheckResponse)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def ready(channel: grpc.Channel, model: str = "sum") -> set[bool]:
    """What whoever can be asked says of a model."""
    told = bool(ask(channel, "ModelReady", oip.ModelReadyRequest(name=model)).ready)
    return {told, health(channel, f"models/{model}")}


def server_ready(channel: grpc.Channel) -> set[bool]:
    """What whoever can be asked says of the server."""
    told = bool(ask(channel, "ServerReady", oip.ServerReadyRequest()).ready)
    return {told, health(channel, ""), health(channel, oip.SERVICE)}


def test_a_model_that_keeps_failing_is_not_ready_until_it_works_again(
    kind: str, tmp_path: Path, engine: Breakable
) -> None:
    write_sum(tmp_path)
    write_sum(tmp_path, "other")
    with serving(tmp_path, kind) as channel:
        assert ready(channel) == {True}
        engine.broken = {"sum"}
        assert [infer(channel) for _ in range(FAILURES_IN_A_ROW)] == ["INTERNAL"] * FAILURES_IN_A_ROW
        wait_until(lambda: ready(channel) == {False})
        # The other model works, so the server can be called.
        assert server_ready(channel) == {True}
        assert ready(channel, "other") == {True}
        assert infer(channel, "other") == "OK"
        (told,) = [m for m in ask(channel, "RepositoryIndex", oip.RepositoryIndexRequest()).models if m.name == "sum"]
        assert told.state == "UNAVAILABLE"
        assert "its runs fail, and so does a run of the input that it was warmed with" in told.reason
        engine.broken = set()
        # Nobody calls it: it is found to work all the same.
        wait_until(lambda: ready(channel) == {True})
        assert infer(channel) == "OK"


def test_a_server_all_of_whose_models_fail_is_not_ready(kind: str, tmp_path: Path, engine: Breakable) -> None:
    write_sum(tmp_path)
    with serving(tmp_path, kind) as channel:
        engine.broken = {"sum"}
        for _ in range(FAILURES_IN_A_ROW):
            infer(channel)
        wait_until(lambda: server_ready(channel) == {False})
        engine.broken = set()
        wait_until(lambda: server_ready(channel) == {True})


def test_callers_cannot_make_a_model_look_broken(kind: str, tmp_path: Path) -> None:
    write_picky(tmp_path)
    with serving(tmp_path, kind) as channel:
        table = np.zeros((1, 2), np.float32)
        for _ in range(4 * FAILURES_IN_A_ROW):
            with pytest.raises(grpc.RpcError) as caught:
                ask(channel, "ModelInfer", infer_request("picky", {"table": table, "index": np.array([7])}))
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert ready(channel, "picky") == {True}
        assert server_ready(channel) == {True}


def test_a_model_whose_warm_up_fails_never_becomes_ready(kind: str, tmp_path: Path) -> None:
    write_hopeless(tmp_path)
    with pytest.raises(ModelBroken, match="its first run failed"), serving(tmp_path, kind):
        pass
    with serving(tmp_path, kind, repository_mode="poll", poll_seconds=100) as channel:
        assert server_ready(channel) == {False}
        assert ready(channel, "hopeless") == {False}
    write_sum(tmp_path)
    with serving(tmp_path, kind) as channel:
        assert server_ready(channel) == {True}
        assert ready(channel, "hopeless") == {False}

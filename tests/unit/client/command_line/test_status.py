"""convserve health and convserve models: exit codes for scripts, a table for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from support.fake_server import FakeServer

from .conftest import Run


def test_health_is_0_where_the_server_is_ready(
    run: Run, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("health") == 0
    assert capsys.readouterr().out == f"{server.target} is ready\n"
    assert run("health", "--model", "simple_cnn") == 0


def test_health_is_1_where_it_is_not(run: Run, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("health", "--model", "resting") == 1
    assert run("health", "--model", "nope") == 1
    assert "there is no model 'nope'" in capsys.readouterr().err
    server.fail_next(grpc.StatusCode.UNAVAILABLE, "stopping")
    assert run("health") == 1
    assert server.count("ServerReady") == 1, "whoever watches wants to hear of the first failure"


def test_health_as_json(run: Run, document: Callable[[], Any], server: FakeServer) -> None:
    assert run("health", "--json", "--model", "nope") == 1
    assert document() == {
        "server": server.target,
        "model": "nope",
        "ready": False,
        "code": "NOT_FOUND",
        "reason": f"there is no model 'nope' (NOT_FOUND from {server.target})",
    }


def test_models_are_a_table(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MODEL", "VERSIONS", "PROVIDER", "INPUTS", "OUTPUTS"]
    assert lines[2] == "resting     not ready"
    assert lines[3].startswith("simple_cnn  1, 2       CPUExecutionProvider  input FP32 [-1, 3, 32, 32]")


def test_models_as_json(run: Run, document: Callable[[], Any]) -> None:
    assert run("models", "--json") == 0
    models = document()["models"]
    assert [model["name"] for model in models] == ["convolve", "resting", "simple_cnn"]
    assert models[2]["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
